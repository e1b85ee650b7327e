using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Llama3Cluster.Shards.Sampling;

/// <summary>Passes over a whole vocabulary of logits, eight at a time.</summary>
internal static class LogitScan
{
    private static int Width => Vector256<float>.Count;

    /// <summary>
    /// Makes logits comparable and returns the largest: NaN becomes minus infinity, a token that cannot be drawn; plus infinity
    /// becomes the largest finite float, so that differences of logits are defined.
    /// </summary>
    public static float Sanitize(Span<float> logits)
    {
        ref float first = ref MemoryMarshal.GetReference(logits);
        var largest = Vector256.Create(float.NegativeInfinity);
        int i = 0;
        for (; i <= logits.Length - Width; i += Width)
        {
            var x = Vector256.LoadUnsafe(ref first, (nuint)i);
            x = Vector256.ConditionalSelect(
                Vector256.Equals(x, x), Vector256.Min(x, Vector256.Create(float.MaxValue)), Vector256.Create(float.NegativeInfinity));
            x.StoreUnsafe(ref first, (nuint)i);
            largest = Vector256.Max(largest, x);
        }

        float max = float.NegativeInfinity;
        for (int lane = 0; lane < Width; lane++)
            max = MathF.Max(max, largest[lane]);
        for (; i < logits.Length; i++)
        {
            logits[i] = float.IsNaN(logits[i]) ? float.NegativeInfinity : MathF.Min(logits[i], float.MaxValue);
            max = MathF.Max(max, logits[i]);
        }

        return max;
    }

    /// <summary>
    /// The first index at or after <paramref name="start"/> whose logit is at least <paramref name="floor"/>; the length if none is.
    /// </summary>
    public static int NextAtLeast(ReadOnlySpan<float> logits, int start, float floor)
    {
        ref float first = ref MemoryMarshal.GetReference(logits);
        var floors = Vector256.Create(floor);
        int i = start;
        for (; i <= logits.Length - Width; i += Width)
        {
            uint hits = Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref first, (nuint)i), floors).ExtractMostSignificantBits();
            if (hits != 0)
                return i + int.TrailingZeroCount((int)hits);
        }

        while (i < logits.Length && !(logits[i] >= floor))
            i++;
        return i;
    }

    /// <summary>
    /// <c>sum of exp((logit - max) * inverseTemperature)</c> over the logits of at least <paramref name="floor"/>, in double
    /// precision. The lanes are the same on every machine, so that the order of the additions is too.
    /// </summary>
    public static double SumExp(ReadOnlySpan<float> logits, float floor, double max, double inverseTemperature)
    {
        ref float first = ref MemoryMarshal.GetReference(logits);
        var floors = Vector256.Create((double)floor);
        var maxima = Vector256.Create(max);
        var sumLower = Vector256<double>.Zero;
        var sumUpper = Vector256<double>.Zero;
        int i = 0;
        for (; i <= logits.Length - Width; i += Width)
        {
            var x = Vector256.LoadUnsafe(ref first, (nuint)i);
            if (!Vector256.GreaterThanOrEqualAny(x, Vector256.Create(floor)))
                continue;
            var (lower, upper) = Vector256.Widen(x);
            sumLower += Vector256.Exp((lower - maxima) * inverseTemperature) & Vector256.GreaterThanOrEqual(lower, floors);
            sumUpper += Vector256.Exp((upper - maxima) * inverseTemperature) & Vector256.GreaterThanOrEqual(upper, floors);
        }

        double sum = Vector256.Sum(sumLower + sumUpper);
        for (; i < logits.Length; i++)
        {
            if (logits[i] >= floor)
                sum += Math.Exp((logits[i] - max) * inverseTemperature);
        }

        return sum;
    }
}
