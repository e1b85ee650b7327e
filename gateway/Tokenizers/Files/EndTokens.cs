using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// The tokens that end a generation: those that generation_config.json and config.json name, the tokenizer's own end token, and
/// Llama 3's, of which fine-tuned models' files often name only one.
/// </summary>
internal static class EndTokens
{
    /// <summary>Collects them.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="vocabulary">The vocabulary.</param>
    /// <param name="endToken">The tokenizer's own end token by name, if it has one.</param>
    public static HashSet<int> Collect(string folder, Vocabulary vocabulary, string? endToken)
    {
        HashSet<int> ends = OfVocabulary(vocabulary);
        if (endToken is not null && vocabulary.Special.TryGetValue(endToken, out int own))
            ends.Add(own);

        foreach (string name in (ReadOnlySpan<string>)["generation_config.json", "config.json"])
        {
            using JsonFile? file = JsonFile.OpenIfPresent(Path.Combine(folder, name));
            if (file?.Root["eos_token_id"] is not { IsNull: false } value)
                continue;

            foreach (JsonValue item in value.IsArray ? value.Items() : [value])
            {
                int id = item.AsInt32();
                if (id < 0 || id >= vocabulary.Size)
                {
                    throw new ModelFileException(
                        $"{item.Path} is {id}, which is outside the vocabulary, 0 to {vocabulary.Size - 1}");
                }

                ends.Add(id);
            }
        }

        return ends;
    }

    /// <summary>Llama 3's end tokens, as far as the vocabulary has them.</summary>
    public static HashSet<int> OfVocabulary(Vocabulary vocabulary) =>
        [.. Llama3SpecialTokens.Ends.Where(vocabulary.Special.ContainsKey).Select(name => vocabulary.Special[name])];
}
