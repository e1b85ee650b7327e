using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Execution;

/// <summary>One sampled token of a step.</summary>
/// <param name="Slot">The sequence's slot.</param>
/// <param name="Sequence">The sequence's number.</param>
/// <param name="Index">Number of the token within the answer.</param>
/// <param name="Token">The token, with its log-probability if asked for.</param>
/// <param name="TopOffset">Where its alternatives start in <see cref="SampledTokens.Top"/>.</param>
/// <param name="TopCount">How many alternatives it has.</param>
public readonly record struct SampledRow(int Slot, long Sequence, int Index, TokenLogProb Token, int TopOffset, int TopCount);

/// <summary>The tokens that a step sampled. Reused: its arrays grow to the largest step and stay.</summary>
public sealed class SampledTokens
{
    private SampledRow[] _rows = new SampledRow[16];
    private TokenLogProb[] _top = new TokenLogProb[SamplingParameters.MaxTopLogProbs];

    /// <summary>The epoch of the step.</summary>
    public long Epoch { get; set; }

    /// <summary>The number of the step.</summary>
    public long Step { get; set; }

    /// <summary>Tokens sampled.</summary>
    public int Count { get; private set; }

    /// <summary>Alternatives over all tokens.</summary>
    public int TopCount { get; private set; }

    /// <summary>The sampled tokens, in the order of the step's sequences.</summary>
    public ReadOnlySpan<SampledRow> Rows => _rows.AsSpan(0, Count);

    /// <summary>The alternatives of all tokens.</summary>
    public ReadOnlySpan<TokenLogProb> Top => _top.AsSpan(0, TopCount);

    /// <summary>Empties it for the result of a step.</summary>
    public void Reset(long epoch, long step)
    {
        Epoch = epoch;
        Step = step;
        Count = TopCount = 0;
    }

    /// <summary>Adds a token and its alternatives.</summary>
    public void Add(int slot, long sequence, int index, TokenLogProb token, ReadOnlySpan<TokenLogProb> top)
    {
        if (Count == _rows.Length)
            Array.Resize(ref _rows, 2 * Count);
        if (TopCount + top.Length > _top.Length)
            Array.Resize(ref _top, Math.Max(TopCount + top.Length, 2 * _top.Length));
        top.CopyTo(_top.AsSpan(TopCount));
        _rows[Count++] = new SampledRow(slot, sequence, index, token, TopCount, top.Length);
        TopCount += top.Length;
    }

    /// <summary>The alternatives of a token, likeliest first.</summary>
    public ReadOnlySpan<TokenLogProb> TopOf(in SampledRow row) => _top.AsSpan(row.TopOffset, row.TopCount);
}
