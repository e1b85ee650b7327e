namespace Llama3Cluster.Kernels.Formats;

/// <summary>Finds the scale of <c>x = scale q</c> with whole q in -extent..extent-1.</summary>
internal static class SymmetricFit
{
    // How far from the plain extent the element of largest magnitude is tried, in steps of q.
    private static ReadOnlySpan<float> Stretches => [-0.8f, -0.4f, 0, 0.4f, 0.8f];

    public static float Find(ReadOnlySpan<float> x, int extent)
    {
        float extreme = 0;
        foreach (float v in x)
            extreme = Math.Abs(v) > Math.Abs(extreme) ? v : extreme;
        if (extreme == 0)
            return 0;

        // For given q the best scale is xq / qq and removes xq^2 / qq of the squared error.
        double bestGain = 0;
        float best = extreme / -extent;
        foreach (float stretch in Stretches)
        {
            float inverse = (-extent + stretch) / extreme;
            double xq = 0, qq = 0;
            foreach (float v in x)
            {
                double q = Math.Clamp(MathF.Round(v * inverse), -extent, extent - 1);
                xq += v * q;
                qq += q * q;
            }

            if (qq > 0 && xq * xq / qq > bestGain)
                (bestGain, best) = (xq * xq / qq, (float)(xq / qq));
        }

        return best;
    }
}
