using System.Text;
using Llama3Cluster.Gateway.Tokenizers.Files;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>
/// The metadata by which a GGUF file gets the tokenizer of a model that is none. What is written is read back and compared: a
/// vocabulary that would encode or end texts otherwise is refused.
/// </summary>
public static class GgufVocabularyExport
{
    private static readonly string[] EndKeys = ["eos_token_id", "eot_token_id", "eom_token_id"];

    /// <summary>The metadata to add to a model's own.</summary>
    /// <param name="model">The model.</param>
    /// <returns>Nothing for a GGUF file that has a vocabulary, which goes along with its other metadata.</returns>
    /// <exception cref="ModelFileException">The model has no tokenizer.json, or one that a GGUF file cannot hold.</exception>
    public static IReadOnlyDictionary<string, object> Of(ModelFile model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model is GgufFile gguf && GgufVocabulary.Read(gguf.Path, gguf.Metadata) is not null)
            return new Dictionary<string, object>();

        ModelTokenizer tokenizer = TokenizerLoader.Load(model.Path);
        string folder = TokenizerLoader.FolderOf(model.Path), path = Path.Combine(folder, TokenizerJsonFile.Name);
        if (!File.Exists(path))
            throw new ModelFileException($"{folder} has no {TokenizerJsonFile.Name}, of which a GGUF file's vocabulary is made");
        Dictionary<string, object> keys = TokenizerJsonExport.Read(path, model.Config.VocabularySize);
        AddSpecialTokens(keys, tokenizer, model.Config.EosTokens);
        if (TokenizerConfigFile.ChatTemplateOf(folder) is { } template)
            keys["tokenizer.chat_template"] = template;
        RequireSame(path, tokenizer, TokenizerLoader.Load(GgufVocabulary.Read(path, new GgufMetadata(path, keys))!));
        return keys;
    }

    private static void AddSpecialTokens(Dictionary<string, object> keys, ModelTokenizer tokenizer, IReadOnlyList<int> named)
    {
        keys["tokenizer.ggml.add_bos_token"] = tokenizer.StartToken is not null;
        if (tokenizer.StartToken is int start)
            keys["tokenizer.ggml.bos_token_id"] = (uint)start;

        // There is one key for each way to end; readers find Llama 3's other end tokens by their names.
        int[] ends = [.. named.Where(tokenizer.EndTokens.Contains), .. tokenizer.EndTokens.Except(named).Order()];
        int? Named(string name) => tokenizer.SpecialTokens.TryGetValue(name, out int id) ? id : null;
        int?[] byName = [Named(Llama3SpecialTokens.EndOfText), Named(Llama3SpecialTokens.EndOfTurn), Named(Llama3SpecialTokens.EndOfMessage)];
        bool llama3 = ends.All(end => byName.Contains(end));
        for (int i = 0; i < EndKeys.Length; i++)
        {
            if ((llama3 ? byName[i] : i < ends.Length ? ends[i] : null) is int end)
                keys[$"tokenizer.ggml.{EndKeys[i]}"] = (uint)end;
        }
    }

    private static void RequireSame(string path, ModelTokenizer wanted, ModelTokenizer written)
    {
        void Require(bool same, string what)
        {
            if (!same)
                throw new ModelFileException($"a GGUF file cannot hold the tokenizer of {path}: {what} would differ");
        }

        Require(wanted.StartToken == written.StartToken, "the start token");
        Require(wanted.EndTokens.SetEquals(written.EndTokens), "the end tokens");
        Require(wanted.SpecialTokens.All(token => written.SpecialTokens.GetValueOrDefault(token.Key, -1) == token.Value), "the special tokens");
        var utf8 = new UTF8Encoding(false, throwOnInvalidBytes: true);
        for (int token = 0; token < wanted.VocabularySize; token++)
        {
            ReadOnlyMemory<byte> bytes = wanted.DecodeBytes(token);
            Require(bytes.Span.SequenceEqual(written.DecodeBytes(token).Span), $"token {token}");
            if (TextOf(bytes.Span, utf8) is { } text)
                Require(wanted.EncodeText(text).AsSpan().SequenceEqual(written.EncodeText(text)), $"the tokens of \"{text}\"");
        }
    }

    // Tokens that end within a character are no text by themselves.
    private static string? TextOf(ReadOnlySpan<byte> bytes, UTF8Encoding utf8)
    {
        try
        {
            return utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}
