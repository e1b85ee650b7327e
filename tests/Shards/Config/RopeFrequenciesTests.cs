using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Tests.Config;

public sealed class RopeFrequenciesTests
{
    private static readonly LlamaConfig Llama31 = new()
    {
        HiddenSize = 4096,
        IntermediateSize = 14336,
        LayerCount = 32,
        HeadCount = 32,
        KvHeadCount = 8,
        HeadDim = 128,
        VocabularySize = 128256,
        ContextLength = 131072,
        RmsNormEpsilon = 1e-5f,
        RopeTheta = 500000,
        RopeScaling = new RopeScaling(8, 1, 4, 8192),
    };

    [Fact]
    public void Short_wavelengths_must_be_kept_and_long_ones_divided_by_the_factor()
    {
        double[] plain = RopeFrequencies.Compute(Llama31 with { RopeScaling = null }), scaled = RopeFrequencies.Compute(Llama31);
        Assert.Equal(64, scaled.Length);
        for (int j = 0; j < scaled.Length; j++)
        {
            double wavelength = 2 * Math.PI / plain[j];
            double divisor = plain[j] / scaled[j];
            if (wavelength < 2048)
                Assert.Equal(1, divisor);
            else if (wavelength > 8192)
                Assert.Equal(8, divisor, 12);
            else
                Assert.InRange(divisor, 1, 8);
        }
    }

    [Fact]
    public void Blended_wavelengths_must_match_the_published_rule()
    {
        // Pair 32 of 64: frequency 500000^-0.5, wavelength 4442.9, kept = (8192 / 4442.9 - 1) / 3.
        double frequency = Math.Pow(500000, -0.5);
        double kept = ((8192 / (2 * Math.PI / frequency)) - 1) / 3;
        Assert.Equal(((1 - kept) * frequency / 8) + (kept * frequency), RopeFrequencies.Compute(Llama31)[32], 15);
    }

    [Fact]
    public void Divisors_must_take_the_place_of_the_scaling_rule()
    {
        float[] divisors = [.. Enumerable.Range(1, 64).Select(i => (float)i)];
        double[] frequencies = RopeFrequencies.Compute(Llama31, divisors);
        Assert.Equal(Math.Pow(500000, -126.0 / 128) / 64, frequencies[63], 15);
        Assert.Throws<ArgumentException>(() => RopeFrequencies.Compute(Llama31, divisors[1..]));
    }
}
