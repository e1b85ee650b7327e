using System.Text;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>A token that stands outside the merges: special, or taken out of the text as it is.</summary>
internal sealed record AddedToken(int Id, string Content, bool Special)
{
    /// <summary>Reads an entry of <c>added_tokens</c> or <c>added_tokens_decoder</c>.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="normalizes">Whether the tokenizer has a normalizer, so that the token's <c>normalized</c> matters.</param>
    public static AddedToken Read(int id, JsonValue entry, bool normalizes)
    {
        string content = entry["content"].AsString();
        if (content.Length == 0)
            throw new ModelFileException($"{entry.Path} is an empty token");

        bool special = entry["special"].AsBoolean(absent: false) || Llama3SpecialTokens.IsControl(content);
        if (!special)
        {
            // How a special token would be found in text does not matter: it never is.
            RefuseIf(entry["lstrip"]);
            RefuseIf(entry["rstrip"]);
            RefuseIf(entry["single_word"]);
            if (normalizes)
                RefuseIf(entry["normalized"]);
        }

        return new AddedToken(id, content, special);

        static void RefuseIf(JsonValue flag)
        {
            if (flag.AsBoolean(absent: false))
                throw flag.Unsupported("false, for a token that is not special");
        }
    }

    /// <summary>Puts the tokens into a vocabulary.</summary>
    /// <returns>Those that are found in text.</returns>
    public static Dictionary<string, int> AddAll(IEnumerable<AddedToken> added, Vocabulary vocabulary)
    {
        var inText = new Dictionary<string, int>();
        foreach (AddedToken token in added)
        {
            if (token.Special)
            {
                vocabulary.AddSpecial(token.Id, token.Content);
            }
            else
            {
                vocabulary.AddText(token.Id, Encoding.UTF8.GetBytes(token.Content));
                if (!inText.TryAdd(token.Content, token.Id))
                {
                    throw new ModelFileException(
                        $"the added token {token.Content} has the ids {inText[token.Content]} and {token.Id}");
                }
            }
        }

        return inText;
    }
}
