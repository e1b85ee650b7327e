namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>A cosine and a sine.</summary>
internal struct Rotor
{
    public float Cos;
    public float Sin;
}

/// <summary>
/// Angles as 64-bit fractions of a turn: a position times a frequency is a whole multiplication that wraps around by itself, so the
/// reduction to one turn is exact at any position, without double precision, which many GPUs lack or are slow at.
/// </summary>
internal static class Turns
{
    // 2^66 / (2 pi).
    private const ulong PerRadian = 0xA2F9836E4E441529;

    // 2 pi / 2^26 in two parts, and 2 pi / 2^50.
    private const float Fine = 9.362675967850009e-08f;
    private const float FineRest = -2.6054018737e-15f;
    private const float Finer = 5.580589597e-15f;

    /// <summary>Radians as a fraction of a turn, in units of 2^-64; truncated below that.</summary>
    public static ulong Of(float radians)
    {
        uint bits = Bits.FloatAsInt(radians);
        int exponent = (int)((bits >> 23) & 0xFF), shift = exponent - 128;
        if (exponent == 0 || shift <= -64)
            return 0;
        ulong product = HighProduct((ulong)((bits & 0x7FFFFF) | 0x800000) << 40, PerRadian);
        ulong turns = shift >= 0 ? product << shift : product >> -shift;
        return (bits >> 31) != 0 ? 0 - turns : turns;
    }

    /// <summary>Cosine and sine of an angle, each within a unit in the last place.</summary>
    public static Rotor Rotor(ulong turns)
    {
        // The nearest quarter turn, and the signed rest of at most an eighth, in two parts of 24 bits.
        uint quarter = (uint)((turns + (1UL << 61)) >> 62) & 3;
        long rest = (long)(turns - ((ulong)quarter << 62));
        float coarse = (int)(rest >> 38), fine = (int)((rest >> 14) & 0xFFFFFF);
        float x = coarse * Fine;
        float xRest = Fused.MultiplyAdd(coarse, Fine, -x) + Fused.MultiplyAdd(coarse, FineRest, fine * Finer);

        // Taylor series on [-pi/4, pi/4]: the first terms left out are below 2e-9.
        float z = x * x, halfZ = 0.5f * z;
        float s = Fused.MultiplyAdd(z, 1f / 362880, -1f / 5040);
        s = Fused.MultiplyAdd(s, z, 1f / 120);
        s = Fused.MultiplyAdd(s, z, -1f / 6);
        float sin = Fused.MultiplyAdd(x * z, s, xRest * (1f - halfZ)) + x;
        float c = Fused.MultiplyAdd(z, -1f / 3628800, 1f / 40320);
        c = Fused.MultiplyAdd(c, z, -1f / 720);
        c = Fused.MultiplyAdd(c, z, 1f / 24);
        float whole = 1f - halfZ;
        float cos = whole + (1f - whole - halfZ + Fused.MultiplyAdd(z * z, c, -(x * xRest)));

        Rotor rotor;
        bool swapped = (quarter & 1) != 0;
        rotor.Cos = swapped ? sin : cos;
        rotor.Sin = swapped ? cos : sin;
        if (quarter is 1 or 2)
            rotor.Cos = -rotor.Cos;
        if (quarter >= 2)
            rotor.Sin = -rotor.Sin;
        return rotor;
    }

    // The upper 64 bits of a product of 128.
    private static ulong HighProduct(ulong a, ulong b)
    {
        ulong aLow = a & 0xFFFFFFFF, aHigh = a >> 32, bLow = b & 0xFFFFFFFF, bHigh = b >> 32;
        ulong middle = (aHigh * bLow) + ((aLow * bLow) >> 32);
        ulong other = (aLow * bHigh) + (middle & 0xFFFFFFFF);
        return (aHigh * bHigh) + (middle >> 32) + (other >> 32);
    }
}
