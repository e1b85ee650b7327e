namespace Llama3Cluster.Shards.Sampling;

/// <summary>
/// A token's place in the order that all filters share: the larger logit first, of equal logits the lower id. Logit and id are
/// packed into one integer, larger is better, so that no two tokens are equal and a comparison is one instruction.
/// </summary>
/// <remarks>
/// Every filter (top-k, top-p, min-p) keeps the leading tokens of this order. A filter's whole result is therefore the rank of
/// the last token it keeps, its cut; and several filters combine as the largest of their cuts.
/// </remarks>
internal readonly record struct TokenRank(ulong Key) : IComparable<TokenRank>
{
    /// <summary>A cut that keeps every token except those at minus infinity.</summary>
    public static TokenRank KeepAll { get; } = Of(float.MinValue, int.MaxValue);

    /// <summary>The rank of a token.</summary>
    public static TokenRank Of(float logit, int token)
    {
        int bits = BitConverter.SingleToInt32Bits(logit + 0f); // -0 + 0 = +0: the two zeros are equal logits
        uint ascending = (uint)(bits ^ ((bits >> 31) & int.MaxValue)) ^ 0x8000_0000; // sign-magnitude to unsigned order
        return new TokenRank(((ulong)ascending << 32) | ~(uint)token);
    }

    /// <summary>The lowest rank that a logit can have: the cut that keeps all tokens of at least this logit.</summary>
    public static TokenRank AtLeast(float logit) => Of(logit, int.MaxValue);

    public float Logit
    {
        get
        {
            int bits = (int)((uint)(Key >> 32) ^ 0x8000_0000);
            return BitConverter.Int32BitsToSingle(bits ^ ((bits >> 31) & int.MaxValue));
        }
    }

    public int Token => (int)~(uint)Key;

    /// <summary>Whether a filter that ends at this rank keeps the token.</summary>
    public bool Keeps(float logit, int token)
    {
        float cut = Logit;
        return logit > cut || (logit == cut && token <= Token);
    }

    /// <summary>The stricter of two cuts.</summary>
    public static TokenRank Stricter(TokenRank first, TokenRank second) => first.Key > second.Key ? first : second;

    /// <summary>Sorts the best token first.</summary>
    public int CompareTo(TokenRank other) => other.Key.CompareTo(Key);
}
