namespace Llama3Cluster.Kernels.Formats;

/// <summary>Finds scale and minimum of <c>x = scale q - min</c> with whole q in 0..largest and both parameters not negative.</summary>
internal static class AffineFit
{
    // How much narrower or wider than the plain range the tried grids are, in steps of q.
    private static ReadOnlySpan<float> Stretches => [-0.9f, -0.6f, -0.3f, 0, 0.3f, 0.6f];

    public static (float Scale, float Min) Find(ReadOnlySpan<float> x, int largest)
    {
        float low = 0, high = 0;
        foreach (float v in x)
        {
            low = Math.Min(low, v);
            high = Math.Max(high, v);
        }

        if (high == low)
            return (0, -low);

        (float Scale, float Min) best = ((high - low) / largest, -low);
        double bestError = SquaredError(x, best.Scale, best.Min, largest);
        foreach (float stretch in Stretches)
        {
            (float scale, float min) = LeastSquares(x, low, (largest + stretch) / (high - low), largest);
            double error = scale > 0 ? SquaredError(x, scale, min, largest) : double.PositiveInfinity;
            if (error < bestError)
                (bestError, best) = (error, (scale, min));
        }

        return best;
    }

    // The parameters that fit best once every element has been given its q by the trial grid.
    private static (float Scale, float Min) LeastSquares(ReadOnlySpan<float> x, float low, float inverse, int largest)
    {
        double sumX = 0, sumQ = 0, sumQQ = 0, sumXQ = 0;
        foreach (float v in x)
        {
            double q = Math.Clamp(MathF.Round((v - low) * inverse), 0, largest);
            sumX += v;
            sumQ += q;
            sumQQ += q * q;
            sumXQ += v * q;
        }

        double determinant = (x.Length * sumQQ) - (sumQ * sumQ);
        if (determinant <= 0)
            return (0, 0);
        double scale = ((x.Length * sumXQ) - (sumX * sumQ)) / determinant;
        double min = ((sumQ * sumXQ) - (sumQQ * sumX)) / determinant;
        return min >= 0 ? ((float)scale, (float)min) : ((float)(sumXQ / sumQQ), 0);
    }

    private static double SquaredError(ReadOnlySpan<float> x, float scale, float min, int largest)
    {
        double error = 0;
        float inverse = 1 / scale;
        foreach (float v in x)
        {
            double difference = v - ((scale * Math.Clamp(MathF.Round((v + min) * inverse), 0, largest)) - min);
            error += difference * difference;
        }

        return error;
    }
}
