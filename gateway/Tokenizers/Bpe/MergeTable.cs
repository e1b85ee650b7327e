using System.Text;

namespace Llama3Cluster.Gateway.Tokenizers.Bpe;

/// <summary>
/// Which neighbouring symbols join into which token, and in which order: lower ranks first, equal ranks from left to right.
/// A symbol is a token's id, or the complement of a code point (<c>~rune</c>) for a character that is no token by itself.
/// Merge lists name their pairs; ranked and scored vocabularies imply them: every split of a token into two symbols is a pair
/// with the token's own rank, which is what tiktoken and SentencePiece compute from the text while encoding.
/// </summary>
internal sealed class MergeTable
{
    private readonly Dictionary<ulong, Merge> _merges = [];

    /// <summary>What a pair becomes, and when.</summary>
    internal readonly record struct Merge(int Rank, int Token);

    /// <summary>Adds a pair; a pair that is named twice keeps its last rank, as Hugging Face's reader has it.</summary>
    public void Add(int left, int right, int rank, int token) => _merges[Pair(left, right)] = new Merge(rank, token);

    /// <summary>Finds the merge of a pair.</summary>
    public bool TryGet(int left, int right, out Merge merge) => _merges.TryGetValue(Pair(left, right), out merge);

    /// <summary>The merges of a vocabulary of byte strings in which a token's id is its rank.</summary>
    public static MergeTable FromRanks(IReadOnlyList<byte[]> tokens, ByteStringMap ids)
    {
        var table = new MergeTable();
        for (int id = 0; id < tokens.Count; id++)
        {
            ReadOnlySpan<byte> token = tokens[id];
            for (int split = 1; split < token.Length; split++)
            {
                if (ids.TryGet(token[..split], out int left) && ids.TryGet(token[split..], out int right))
                    table.Add(left, right, id, id);
            }
        }

        return table;
    }

    /// <summary>The merges of a SentencePiece vocabulary: higher scores first.</summary>
    public static MergeTable FromScores(Dictionary<string, int> tokens, IReadOnlyList<float> scores)
    {
        var rankOfScore = new Dictionary<float, int>();
        foreach (float score in tokens.Values.Select(id => scores[id]).Distinct().OrderDescending())
            rankOfScore.Add(score, rankOfScore.Count);

        var table = new MergeTable();
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids =
            tokens.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach ((string token, int id) in tokens)
        {
            for (int split = 1; split < token.Length; split++)
            {
                if (!char.IsLowSurrogate(token[split])
                    && TrySymbol(token.AsSpan(0, split), out int left) && TrySymbol(token.AsSpan(split), out int right))
                {
                    table.Add(left, right, rankOfScore[scores[id]], id);
                }
            }
        }

        return table;

        bool TrySymbol(ReadOnlySpan<char> text, out int symbol)
        {
            if (ids.TryGetValue(text, out symbol))
                return true;

            Rune.DecodeFromUtf16(text, out Rune rune, out int consumed);
            symbol = ~rune.Value;
            return consumed == text.Length;
        }
    }

    /// <summary>
    /// A key for a pair. The multiplication by an odd number is one to one; without it the dictionary's hash, which is the
    /// exclusive or of both halves, would be 0 for every pair of equal symbols, and long runs of one character very slow.
    /// </summary>
    private static ulong Pair(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) * 0x9E3779B97F4A7C15;
}
