namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>
/// Narrowing without a conversion instruction, which .NET does not expose. To half precision: adding 2^13 times the number's power of two
/// (at least the smallest normal half's) makes the addition round at the half's last place, subnormals included; less
/// <see cref="SumExponent"/>, the sum holds the mantissa in its low bits and the exponent 13 places too high. To bfloat16: half a last
/// place, less one if that is even, is added to the bits.
/// </summary>
internal static class NarrowBits
{
    public const uint Magnitude = 0x7FFF_FFFF;
    public const uint SingleExponent = 0x7F80_0000;
    public const int SingleMantissa = 23;

    /// <summary>The least number that rounds to a half's infinity.</summary>
    public const float HalfOverflow = 65520;

    public const float SmallestNormalHalf = 6.103515625e-5f;

    /// <summary>A factor of 2^13 in a float32's exponent: the mantissa's places that a half lacks.</summary>
    public const uint Exponent13 = 13u << SingleMantissa;

    public const uint SumExponent = 126u << SingleMantissa;
    public const int HalfShift = 13;
    public const uint HalfSign = 0x8000;
    public const uint HalfQuietNaN = 0x7E00;
    public const uint HalfMantissa = 0x03FF;

    public const int Bf16Shift = 16;
    public const uint Bf16Half = 0x7FFF;
    public const uint Bf16QuietNaN = 0x0040;
}
