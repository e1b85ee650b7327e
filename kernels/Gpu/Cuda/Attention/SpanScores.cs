using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>A lane's scores, later weights, of a span: pieces of 8 positions.</summary>
internal struct SpanScores
{
    // Below every score: what is weighed against it weighs nothing.
    private const float Least = -1e30f;

    public Sums P0;
    public Sums P1;
    public Sums P2;
    public Sums P3;
    public Sums P4;
    public Sums P5;
    public Sums P6;
    public Sums P7;

    /// <summary>Scaled scores of the positions below each query's limit, minus infinity beyond.</summary>
    /// <param name="scores">The products.</param>
    /// <param name="scale">What they are multiplied by.</param>
    /// <param name="position">The lane's first position in the span.</param>
    /// <param name="low">The low query's limit.</param>
    /// <param name="high">The high query's limit.</param>
    public static SpanScores Mask(SpanScores scores, float scale, int position, int low, int high)
    {
        SpanScores masked;
        masked.P0 = Mask(scores.P0, scale, position, low, high);
        masked.P1 = Mask(scores.P1, scale, position + 8, low, high);
        masked.P2 = Mask(scores.P2, scale, position + 16, low, high);
        masked.P3 = Mask(scores.P3, scale, position + 24, low, high);
        masked.P4 = Mask(scores.P4, scale, position + 32, low, high);
        masked.P5 = Mask(scores.P5, scale, position + 40, low, high);
        masked.P6 = Mask(scores.P6, scale, position + 48, low, high);
        masked.P7 = Mask(scores.P7, scale, position + 56, low, high);
        return masked;
    }

    /// <summary>Each query's largest score, over all lanes that share it; a number even where a query sees nothing of the span.</summary>
    public static TwoRows Largest(SpanScores s)
    {
        float low = Ptx.Max(
            Ptx.Max(Ptx.Max(Low(s.P0), Low(s.P1)), Ptx.Max(Low(s.P2), Low(s.P3))),
            Ptx.Max(Ptx.Max(Low(s.P4), Low(s.P5)), Ptx.Max(Low(s.P6), Low(s.P7))));
        float high = Ptx.Max(
            Ptx.Max(Ptx.Max(High(s.P0), High(s.P1)), Ptx.Max(High(s.P2), High(s.P3))),
            Ptx.Max(Ptx.Max(High(s.P4), High(s.P5)), Ptx.Max(High(s.P6), High(s.P7))));
        low = Ptx.Max(low, Ptx.Exchange(low, 1));
        high = Ptx.Max(high, Ptx.Exchange(high, 1));
        return TwoRows.Of(Ptx.Max(Ptx.Max(low, Ptx.Exchange(low, 2)), Least), Ptx.Max(Ptx.Max(high, Ptx.Exchange(high, 2)), Least));
    }

    /// <summary>2^(score - largest).</summary>
    public static SpanScores Weights(SpanScores s, TwoRows largest)
    {
        SpanScores weights;
        weights.P0 = Weights(s.P0, largest);
        weights.P1 = Weights(s.P1, largest);
        weights.P2 = Weights(s.P2, largest);
        weights.P3 = Weights(s.P3, largest);
        weights.P4 = Weights(s.P4, largest);
        weights.P5 = Weights(s.P5, largest);
        weights.P6 = Weights(s.P6, largest);
        weights.P7 = Weights(s.P7, largest);
        return weights;
    }

    /// <summary>Each query's sum of weights, over all lanes that share it.</summary>
    public static TwoRows Total(SpanScores w)
    {
        Sums sum = Products.ProductSums.Add(
            Products.ProductSums.Add(Products.ProductSums.Add(w.P0, w.P1), Products.ProductSums.Add(w.P2, w.P3)),
            Products.ProductSums.Add(Products.ProductSums.Add(w.P4, w.P5), Products.ProductSums.Add(w.P6, w.P7)));
        float low = Ptx.Add(sum.X, sum.Y), high = Ptx.Add(sum.Z, sum.W);
        low = Ptx.Add(low, Ptx.Exchange(low, 1));
        high = Ptx.Add(high, Ptx.Exchange(high, 1));
        return TwoRows.Of(Ptx.Add(low, Ptx.Exchange(low, 2)), Ptx.Add(high, Ptx.Exchange(high, 2)));
    }

    private static Sums Mask(Sums s, float scale, int position, int low, int high)
    {
        Sums masked;
        masked.X = position < low ? Ptx.Multiply(s.X, scale) : float.NegativeInfinity;
        masked.Y = position + 1 < low ? Ptx.Multiply(s.Y, scale) : float.NegativeInfinity;
        masked.Z = position < high ? Ptx.Multiply(s.Z, scale) : float.NegativeInfinity;
        masked.W = position + 1 < high ? Ptx.Multiply(s.W, scale) : float.NegativeInfinity;
        return masked;
    }

    private static float Low(Sums s) => Ptx.Max(s.X, s.Y);

    private static float High(Sums s) => Ptx.Max(s.Z, s.W);

    private static Sums Weights(Sums s, TwoRows largest)
    {
        Sums weights;
        weights.X = Ptx.Exp2(Ptx.Add(s.X, -largest.Low));
        weights.Y = Ptx.Exp2(Ptx.Add(s.Y, -largest.Low));
        weights.Z = Ptx.Exp2(Ptx.Add(s.Z, -largest.High));
        weights.W = Ptx.Exp2(Ptx.Add(s.W, -largest.High));
        return weights;
    }
}
