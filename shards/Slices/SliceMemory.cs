using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Shards.Slices;

/// <summary>The memory that a slice takes, or several slices of one model together.</summary>
/// <param name="MappedBytes">Weights that are used where the file is mapped: the page cache holds them, shared by all processes.</param>
/// <param name="WeightCopyBytes">Weights that the device holds beside the file: decoded norms, and matrices in an order of its own.</param>
/// <param name="KvBytes">Keys and values.</param>
/// <param name="KvTokens">Positions that those hold.</param>
/// <param name="BufferBytes">Intermediate results of a step.</param>
public readonly record struct SliceMemory(long MappedBytes, long WeightCopyBytes, long KvBytes, int KvTokens, long BufferBytes)
{
    /// <summary>Two slices of one model: each holds its layers' part of the same positions.</summary>
    public static SliceMemory operator +(SliceMemory a, SliceMemory b) => new(
        a.MappedBytes + b.MappedBytes, a.WeightCopyBytes + b.WeightCopyBytes, a.KvBytes + b.KvBytes,
        Math.Max(a.KvTokens, b.KvTokens), a.BufferBytes + b.BufferBytes);

    /// <summary>Such as <c>727.7 MiB mapped + 264.0 KiB copied, KV 64.0 MiB (2,048 tokens), buffers 12.1 MiB</c>.</summary>
    public override string ToString() =>
        $"{ByteSize.Format(MappedBytes)} mapped + {ByteSize.Format(WeightCopyBytes)} copied, "
        + $"KV {ByteSize.Format(KvBytes)} ({KvTokens:N0} tokens), buffers {ByteSize.Format(BufferBytes)}";
}
