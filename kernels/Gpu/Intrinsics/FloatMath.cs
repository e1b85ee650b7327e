namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>
/// Arithmetic whose bits are the same on every device and in every kernel: what compilers may contract or approximate is spelt out.
/// </summary>
internal static class FloatMath
{
    private const float Log2E = 1.44269504f;

    // ln 2 in two parts: the first has so few bits that its product with a whole exponent is exact.
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;

    // 1.5 * 2^23: adding it rounds to whole numbers, to even, and leaves them in the low bits.
    private const float Rounder = 12582912f;
    private const uint RounderBits = 0x4B400000;

    /// <summary>The nearest whole number, ties to even, of |x| below 2^22.</summary>
    public static int Round(float x) => (int)(Bits.FloatAsInt(x + Rounder) - RounderBits);

    /// <summary>e^x within 2 units in the last place; 0 below -87.3, where singles turn subnormal, infinity above 88.7.</summary>
    public static float Exp(float x)
    {
        float bounded = x > 89f ? 89f : x;
        bounded = bounded < -88f ? -88f : bounded;
        int n = Round(bounded * Log2E);
        float whole = Whole(n);
        float r = Fused.MultiplyAdd(whole, -Ln2Low, Fused.MultiplyAdd(whole, -Ln2High, bounded));

        // The Taylor series on [-ln 2 / 2, ln 2 / 2]: the first term left out is below 2e-9.
        float p = Fused.MultiplyAdd(r, 1f / 5040, 1f / 720);
        p = Fused.MultiplyAdd(p, r, 1f / 120);
        p = Fused.MultiplyAdd(p, r, 1f / 24);
        p = Fused.MultiplyAdd(p, r, 1f / 6);
        p = Fused.MultiplyAdd(p, r, 0.5f);
        p = Fused.MultiplyAdd(p * r, r, r) + 1f;

        // Two factors: 2^n alone leaves the range at both ends.
        int half = n >> 1;
        float result = p * PowerOfTwo(half) * PowerOfTwo(n - half);
        if (x < -87.3f)
            result = 0f;
        return float.IsNaN(x) ? x : result;
    }

    private static float PowerOfTwo(int n) => Bits.IntAsFloat((uint)(n + 127) << 23);

    // Conversions from int are a quarter of the rate of additions on most GPUs.
    private static float Whole(int n) => Bits.IntAsFloat((uint)n + RounderBits) - Rounder;
}
