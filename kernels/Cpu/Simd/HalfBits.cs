namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>
/// Widening half precision without a conversion instruction, which .NET does not expose: shift the exponent and mantissa into a
/// float32's place, where they are 2^112 too small (also if subnormal), multiply, and repair the exponent of infinities and NaNs.
/// </summary>
internal static class HalfBits
{
    public const uint Magnitude = 0x7FFF;
    public const uint Sign = 0x8000;
    public const int SignShift = 16;
    public const int MantissaShift = 13;
    public const float Rebias = 5.192296858534828e33f;

    /// <summary>A half's infinity after <see cref="MantissaShift"/>; what is greater is a NaN.</summary>
    public const int Infinity = 0x7C00 << MantissaShift;

    /// <summary>What a half's infinity is widened to; what is greater, or equal, needs its exponent repaired.</summary>
    public const float BeyondFinite = 65536;

    /// <summary>The sign and the magnitude of sign-extended bits after <see cref="MantissaShift"/>.</summary>
    public const int FiniteSingle = unchecked((int)0x8FFFE000);

    public const uint SingleExponent = 0x7F800000;

    /// <summary>The magnitude of sign-extended bits after <see cref="MantissaShift"/>.</summary>
    public const int SingleMagnitude = 0x0FFFE000;

    /// <summary>The difference of the exponents' biases, in the exponent's place.</summary>
    public const int RebiasBits = (127 - 15) << 23;

    /// <summary>What twice a subnormal that was given an implicit one has too much, negated.</summary>
    public const float ImplicitOne = -6.103515625e-5f;

    public const int SingleSign = unchecked((int)0x80000000);
}
