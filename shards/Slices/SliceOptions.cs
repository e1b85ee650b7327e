using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Slices;

/// <summary>The largest batch that a slice is prepared for, and its KV cache.</summary>
/// <param name="MaxRows">Most rows of one step.</param>
/// <param name="MaxSequences">Most sequences of one step.</param>
/// <param name="MaxLogitRows">Most rows of one step whose logits are wanted.</param>
/// <param name="ContextLength">Most positions of one sequence.</param>
/// <param name="KvBlocks">KV blocks of 16 positions.</param>
/// <param name="KvFormat">How keys and values are stored.</param>
public sealed record SliceOptions(
    int MaxRows, int MaxSequences, int MaxLogitRows, int ContextLength, int KvBlocks, KvFormat KvFormat)
{
    /// <summary>Options for serving: a step wants the logits of at most one row of each sequence.</summary>
    public static SliceOptions ForServing(int maxRows, int maxSequences, int contextLength, int kvBlocks, KvFormat kvFormat) =>
        new(maxRows, maxSequences, Math.Min(maxRows, maxSequences), contextLength, kvBlocks, kvFormat);
}

/// <summary>How far a slice's loading has come.</summary>
/// <param name="BytesLoaded">Weight bytes loaded.</param>
/// <param name="BytesTotal">Weight bytes of the slice.</param>
public readonly record struct LoadProgress(long BytesLoaded, long BytesTotal)
{
    /// <summary>The share that is loaded, 0 to 1.</summary>
    public double Fraction => BytesTotal == 0 ? 1 : (double)BytesLoaded / BytesTotal;
}
