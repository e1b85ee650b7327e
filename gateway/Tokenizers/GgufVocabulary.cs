using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>The vocabulary in a GGUF file's metadata, under the names of its <c>tokenizer.ggml</c> keys.</summary>
public sealed record GgufVocabulary
{
    private static readonly string[] EndTokenKeys = ["eos_token_id", "eot_token_id", "eom_token_id"];

    /// <summary>The file's name, for messages.</summary>
    public required string Source { get; init; }

    /// <summary>The kind of tokenizer: <c>gpt2</c> is byte-level BPE, <c>llama</c> SentencePiece's.</summary>
    public required string Model { get; init; }

    /// <summary>The tokens; their indices are their ids.</summary>
    public required IReadOnlyList<string> Tokens { get; init; }

    /// <summary>What each token is (<c>token_type</c>); all are plain text where the file does not say.</summary>
    public IReadOnlyList<int>? TokenTypes { get; init; }

    /// <summary>The split pattern of byte-level BPE by name (<c>pre</c>).</summary>
    public string? Pre { get; init; }

    /// <summary>The merges of byte-level BPE, best first.</summary>
    public IReadOnlyList<string>? Merges { get; init; }

    /// <summary>The scores of SentencePiece's tokens; higher ones are merged first.</summary>
    public IReadOnlyList<float>? Scores { get; init; }

    /// <summary>The whole tokenizer.json of the model, for a file that brings it along (<c>tokenizer.huggingface.json</c>).</summary>
    public string? HuggingFaceJson { get; init; }

    /// <summary>The start token.</summary>
    public long? BosToken { get; init; }

    /// <summary>The tokens that end a text, a turn or a message.</summary>
    public IReadOnlyList<long> EndTokens { get; init; } = [];

    /// <summary>The token for what cannot be encoded.</summary>
    public long? UnknownToken { get; init; }

    /// <summary>Whether text gets the start token.</summary>
    public bool AddBosToken { get; init; } = true;

    /// <summary>Whether text gets an end token, which no prompt should.</summary>
    public bool AddEosToken { get; init; }

    /// <summary>Whether a space is put before a text, for SentencePiece's form.</summary>
    public bool AddSpacePrefix { get; init; } = true;

    /// <summary>Whether runs of spaces become one, for SentencePiece's form.</summary>
    public bool RemoveExtraWhitespaces { get; init; }

    /// <summary>Reads the vocabulary of a file.</summary>
    /// <param name="source">The file's name, for messages.</param>
    /// <param name="metadata">Its metadata.</param>
    /// <returns>Null if the file has no vocabulary.</returns>
    /// <exception cref="ModelFileException">A key has another type than it should.</exception>
    public static GgufVocabulary? Read(string source, GgufMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        const string Prefix = "tokenizer.ggml.";
        if (metadata.GetString(Prefix + "model") is not { } model || metadata.GetStrings(Prefix + "tokens") is not { } tokens)
            return null;

        return new GgufVocabulary
        {
            Source = source,
            Model = model,
            Tokens = tokens,
            TokenTypes = metadata.GetIntegers(Prefix + "token_type"),
            Pre = metadata.GetString(Prefix + "pre"),
            Merges = metadata.GetStrings(Prefix + "merges"),
            Scores = metadata.GetNumbers(Prefix + "scores"),
            HuggingFaceJson = metadata.GetString("tokenizer.huggingface.json"),
            BosToken = metadata.GetInteger(Prefix + "bos_token_id"),
            EndTokens = [.. EndTokenKeys.Select(key => metadata.GetInteger(Prefix + key)).OfType<long>()],
            UnknownToken = metadata.GetInteger(Prefix + "unknown_token_id"),
            AddBosToken = metadata.GetBoolean(Prefix + "add_bos_token") ?? true,
            AddEosToken = metadata.GetBoolean(Prefix + "add_eos_token") ?? false,
            AddSpacePrefix = metadata.GetBoolean(Prefix + "add_space_prefix") ?? true,
            RemoveExtraWhitespaces = metadata.GetBoolean(Prefix + "remove_extra_whitespaces") ?? false,
        };
    }
}
