namespace Llama3Cluster.Shards.Synthesis;

/// <summary>A byte-level BPE vocabulary, as a GGUF file holds it.</summary>
/// <param name="Tokens">The text of each token, bytes spelled in GPT-2's alphabet.</param>
/// <param name="Types">The kind of each token.</param>
/// <param name="Merges">The pairs that are joined, most urgent first, their parts separated by a blank.</param>
/// <param name="BosToken">Token that starts a sequence; null if it has none.</param>
/// <param name="EosTokens">Tokens that end a generation, the one that ends a text first.</param>
internal sealed record Vocabulary(
    IReadOnlyList<string> Tokens, IReadOnlyList<TokenType> Types, IReadOnlyList<string> Merges, int? BosToken, IReadOnlyList<int> EosTokens)
{
    /// <summary>
    /// The texts of Llama 3.1's special tokens that have a meaning, with their places among the special tokens; the others are
    /// reserved.
    /// </summary>
    public static readonly IReadOnlyDictionary<int, string> SpecialTexts = new Dictionary<int, string>
    {
        [0] = "<|begin_of_text|>",
        [1] = "<|end_of_text|>",
        [4] = "<|finetune_right_pad_id|>",
        [6] = "<|start_header_id|>",
        [7] = "<|end_header_id|>",
        [8] = "<|eom_id|>",
        [9] = "<|eot_id|>",
        [10] = "<|python_tag|>",
    };

    /// <summary>The vocabulary with unused tokens up to the rows of an embedding, as converters fill it.</summary>
    public Vocabulary PaddedTo(int size) => this with
    {
        Tokens = [.. Tokens, .. Enumerable.Range(Tokens.Count, size - Tokens.Count).Select(i => $"[PAD{i}]")],
        Types = [.. Types, .. Enumerable.Repeat(TokenType.Unused, size - Types.Count)],
    };

    /// <summary>The first and last tokens of a text and the end tokens, found by their texts in Llama 3's way.</summary>
    public Vocabulary WithSpecialTokensByText()
    {
        int? Find(int place) => IndexOf(SpecialTexts[place]) is >= 0 and int token ? token : null;
        return this with
        {
            BosToken = Find(0),
            EosTokens = [.. new[] { Find(1), Find(8), Find(9) }.OfType<int>()],
        };
    }

    private int IndexOf(string text)
    {
        for (int i = Tokens.Count - 1; i >= 0; i--)
        {
            if (Tokens[i] == text)
                return i;
        }

        return -1;
    }
}

/// <summary>The kind of a token. Source: llama.h, enum llama_token_type.</summary>
internal enum TokenType
{
    Normal = 1,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
}
