namespace Llama3Cluster.Shards.Config;

/// <summary>RoPE's rotation speeds.</summary>
public static class RopeFrequencies
{
    /// <summary>Radians a position for each of the head dim / 2 pairs: theta^(-2j/d), scaled as the config says.</summary>
    public static double[] Compute(LlamaConfig config)
    {
        var frequencies = new double[config.HeadDim / 2];
        for (int j = 0; j < frequencies.Length; j++)
            frequencies[j] = Scale(Math.Pow(config.RopeTheta, -2.0 * j / config.HeadDim), config.RopeScaling);
        return frequencies;
    }

    /// <summary>Radians a position for each pair when the file states the scaling itself, as a divisor of each base frequency.</summary>
    /// <param name="config">The head dimension d and the base; its own scaling is not applied.</param>
    /// <param name="divisors">head dim / 2 divisors: 1 keeps a frequency, 8 makes its wavelength 8 times as long.</param>
    public static double[] Compute(LlamaConfig config, IReadOnlyList<float> divisors)
    {
        if (divisors.Count != config.HeadDim / 2)
            throw new ArgumentException($"a head of {config.HeadDim} has {config.HeadDim / 2} pairs, "
                + $"not {divisors.Count}", nameof(divisors));
        double[] frequencies = Compute(config with { RopeScaling = null });
        for (int j = 0; j < frequencies.Length; j++)
            frequencies[j] /= divisors[j];
        return frequencies;
    }

    private static double Scale(double frequency, RopeScaling? scaling)
    {
        if (scaling is null)
            return frequency;
        double wavelength = 2 * Math.PI / frequency;
        double original = scaling.OriginalContextLength;
        if (wavelength < original / scaling.HighFrequencyFactor)
            return frequency;
        if (wavelength > original / scaling.LowFrequencyFactor)
            return frequency / scaling.Factor;
        double kept = ((original / wavelength) - scaling.LowFrequencyFactor) / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return ((1 - kept) * frequency / scaling.Factor) + (kept * frequency);
    }
}
