namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Whether a <see cref="CpuDevice"/> keeps weights rearranged for its registers, beside the mapped file.</summary>
public enum Repack : byte
{
    /// <summary>As long as the memory that is free allows.</summary>
    Auto,

    /// <summary>Always.</summary>
    On,

    /// <summary>Never: weights are rearranged a few rows at a time whenever they are used. Decoding is three to five times slower; results are the same.</summary>
    Off,
}
