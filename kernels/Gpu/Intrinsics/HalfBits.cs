namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>
/// Half precision and bfloat16 as bits, converted by integer arithmetic, exactly: OpenCL devices need not know either type, and may
/// flush subnormal singles, so none come up on the way.
/// </summary>
internal static class HalfBits
{
    private const uint Exponent = 0x7C00;
    private const uint SingleExponent = 0x7F800000;

    // 2^-14, the smallest normal half, as a single.
    private const uint SmallestNormal = 0x38800000;

    /// <summary>The float32 of half-precision bits (the low 16 of the word).</summary>
    public static float ToSingle(uint half)
    {
        uint magnitude = (half & 0x7FFF) << 13, exponent = half & Exponent;
        uint bits = exponent == Exponent ? magnitude | SingleExponent : magnitude + 0x38000000;
        if (exponent == 0)
            bits = Bits.FloatAsInt(Bits.IntAsFloat(magnitude | SmallestNormal) - Bits.IntAsFloat(SmallestNormal));
        return Bits.IntAsFloat(bits | ((half & 0x8000) << 16));
    }

    /// <summary>The nearest half, ties to even, as bits; a NaN stays one.</summary>
    public static uint FromSingle(float value)
    {
        uint bits = Bits.FloatAsInt(value), sign = (bits >> 16) & 0x8000;
        bits &= 0x7FFFFFFF;
        if (bits > SingleExponent)
            return sign | 0x7E00;
        if (bits >= 0x477FF000)
            return sign | Exponent;
        if (bits >= SmallestNormal)
            return sign | ((bits - 0x38000000 + 0xFFF + ((bits >> 13) & 1)) >> 13);

        // Adding 1/2 leaves the subnormal half in the low bits, rounded by the addition.
        return sign | (Bits.FloatAsInt(Bits.IntAsFloat(bits) + 0.5f) - 0x3F000000);
    }

    /// <summary>The float32 of bfloat16 bits in the low half of a word.</summary>
    public static float LowBrain(uint pair) => Bits.IntAsFloat(pair << 16);

    /// <summary>The float32 of bfloat16 bits in the high half of a word.</summary>
    public static float HighBrain(uint pair) => Bits.IntAsFloat(pair & 0xFFFF0000);

    /// <summary>The nearest bfloat16, ties to even, as bits; a NaN stays one.</summary>
    public static uint ToBrain(float value)
    {
        uint bits = Bits.FloatAsInt(value);
        return (bits & 0x7FFFFFFF) > SingleExponent ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }
}
