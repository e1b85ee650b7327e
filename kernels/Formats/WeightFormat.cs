namespace Llama3Cluster.Kernels.Formats;

/// <summary>How the elements of a weight tensor are stored. The quantized layouts are GGUF's blocks, byte for byte.</summary>
public enum WeightFormat : byte
{
    /// <summary>IEEE 754 single precision.</summary>
    F32,

    /// <summary>IEEE 754 half precision.</summary>
    F16,

    /// <summary>bfloat16: the upper half of a single.</summary>
    BF16,

    /// <summary>32 signed bytes with one half-precision scale: 34 bytes.</summary>
    Q8_0,

    /// <summary>32 four-bit values, offset 8, with one half-precision scale: 18 bytes.</summary>
    Q4_0,

    /// <summary>256 four-bit values in 8 sub-blocks with 6-bit scales and minima: 144 bytes.</summary>
    Q4_K,

    /// <summary>256 five-bit values in 8 sub-blocks with 6-bit scales and minima: 176 bytes.</summary>
    Q5_K,

    /// <summary>256 six-bit values in 16 sub-blocks with 8-bit scales: 210 bytes.</summary>
    Q6_K,
}
