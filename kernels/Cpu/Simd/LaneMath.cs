using System.Runtime.CompilerServices;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>What every vector width does the same way: partial stores and elementary functions.</summary>
internal static unsafe class LaneMath<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // exp(x) overflows above the first and is subnormal below the second.
    private const float LargestExponent = 88.3762626647949f;
    private const float SmallestExponent = -87.3365447504f;
    private const float Log2E = 1.44269504088896341f;

    // ln 2 in two parts: n times the upper one is exact for every n that occurs.
    private const float Ln2Upper = 0.693359375f;
    private const float Ln2Lower = -2.12194440e-4f;

    /// <summary>Stores the first <paramref name="count"/> lanes.</summary>
    public static void StorePartial(float* destination, TV value, int count)
    {
        float* lanes = stackalloc float[TS.Count];
        TS.Store(lanes, value);
        for (int i = 0; i < count; i++)
            destination[i] = lanes[i];
    }

    /// <summary>e^x within 2 units in the last place; below -87.3 the smallest normal number, above 88.3 near the largest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Exp(TV x)
    {
        x = TS.Max(TS.Splat(SmallestExponent), TS.Min(TS.Splat(LargestExponent), x));
        TV n = TS.Round(TS.Multiply(x, TS.Splat(Log2E)));
        TV r = TS.MultiplyAdd(n, TS.Splat(-Ln2Upper), x);
        r = TS.MultiplyAdd(n, TS.Splat(-Ln2Lower), r);

        // The Taylor series up to r^7: |r| <= ln(2)/2 leaves a remainder below 6e-9.
        TV p = TS.Splat(1f / 5040);
        p = TS.MultiplyAdd(p, r, TS.Splat(1f / 720));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f / 120));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f / 24));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f / 6));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f / 2));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f));
        p = TS.MultiplyAdd(p, r, TS.Splat(1f));
        return TS.ScaleByPowerOfTwo(p, n);
    }

    /// <summary>x / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Silu(TV x) =>
        TS.Divide(x, TS.Add(TS.Splat(1), Exp(TS.Subtract(TS.Splat(0), x))));
}
