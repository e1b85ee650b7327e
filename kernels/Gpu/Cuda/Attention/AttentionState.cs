using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>One number for each of a lane's two queries, g and g + 8.</summary>
internal struct TwoRows
{
    public float Low;
    public float High;

    public static TwoRows Of(float low, float high)
    {
        TwoRows rows;
        rows.Low = low;
        rows.High = high;
        return rows;
    }
}

/// <summary>
/// Sums over values of 64 elements of a head. Piece j has of the elements 8 n + j the columns n; so a lane's X of all pieces are the
/// elements 16 t … + 7 of its low query, Y those from 16 t + 8, Z and W the same of its high query.
/// </summary>
internal struct HeadSums
{
    public Sums P0;
    public Sums P1;
    public Sums P2;
    public Sums P3;
    public Sums P4;
    public Sums P5;
    public Sums P6;
    public Sums P7;

    /// <summary>total a + own b, for each query with its own factors.</summary>
    public static HeadSums Merge(HeadSums total, TwoRows a, HeadSums own, TwoRows b)
    {
        HeadSums merged;
        merged.P0 = Merge(total.P0, a, own.P0, b);
        merged.P1 = Merge(total.P1, a, own.P1, b);
        merged.P2 = Merge(total.P2, a, own.P2, b);
        merged.P3 = Merge(total.P3, a, own.P3, b);
        merged.P4 = Merge(total.P4, a, own.P4, b);
        merged.P5 = Merge(total.P5, a, own.P5, b);
        merged.P6 = Merge(total.P6, a, own.P6, b);
        merged.P7 = Merge(total.P7, a, own.P7, b);
        return merged;
    }

    private static Sums Merge(Sums total, TwoRows a, Sums own, TwoRows b)
    {
        Sums merged;
        merged.X = SpanMerge.Join(total.X, a.Low, own.X, b.Low);
        merged.Y = SpanMerge.Join(total.Y, a.Low, own.Y, b.Low);
        merged.Z = SpanMerge.Join(total.Z, a.High, own.Z, b.High);
        merged.W = SpanMerge.Join(total.W, a.High, own.W, b.High);
        return merged;
    }
}

/// <summary>
/// How the states of two spans become one, with the same roundings in every kernel. A state is a largest score, the sum of the weights
/// relative to it, and the weighted sums of the values.
/// </summary>
internal static class SpanMerge
{
    /// <summary>What a state's weights shrink by when the largest score becomes this.</summary>
    public static float Factor(float largest, float merged) => Ptx.Exp2(Ptx.Add(largest, -merged));

    /// <summary>total a + own b.</summary>
    public static float Join(float total, float a, float own, float b) => Ptx.Fma(own, b, Ptx.Multiply(total, a));
}
