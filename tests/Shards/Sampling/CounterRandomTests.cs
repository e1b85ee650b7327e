using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

public class CounterRandomTests
{
    /// <summary>The known answers that the authors publish with Random123 (kat_vectors, philox4x32-10).</summary>
    [Theory]
    [InlineData(0u, 0u, 0u, 0u, 0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(
        0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u,
        0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Philox_must_give_the_published_known_answers(
        uint counter0, uint counter1, uint counter2, uint counter3, uint key0, uint key1, uint word0, uint word1, uint word2, uint word3) =>
        Assert.Equal((word0, word1, word2, word3), CounterRandom.Philox(counter0, counter1, counter2, counter3, key0, key1));

    [Fact]
    public void Uniform_numbers_must_be_a_pure_function_of_seed_and_index()
    {
        Assert.Equal(CounterRandom.UniformDouble(7, 11), CounterRandom.UniformDouble(7, 11));
        Assert.NotEqual(CounterRandom.UniformDouble(7, 11), CounterRandom.UniformDouble(7, 12));
        Assert.NotEqual(CounterRandom.UniformDouble(7, 11), CounterRandom.UniformDouble(8, 11));
        Assert.NotEqual(CounterRandom.UniformDouble(7, 11), CounterRandom.UniformDouble(7 | (1UL << 32), 11));
        Assert.NotEqual(CounterRandom.UniformDouble(7, 11), CounterRandom.UniformDouble(7, 11 | (1UL << 32)));
    }

    [Fact]
    public void Uniform_numbers_must_take_the_leading_bits_of_the_words()
    {
        Assert.Equal(0x6627e8d5e169c58dUL >> 11, CounterRandom.UniformDouble(0, 0) * Math.Pow(2, 53));
        Assert.Equal(0x6627e8d5u >> 8, CounterRandom.UniformSingle(0, 0) * MathF.Pow(2, 24));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Uniform_numbers_must_fill_the_unit_interval_evenly_along_seeds_and_along_indices(bool isAlongSeeds)
    {
        const int Bins = 64, Draws = 64_000;
        var counts = new int[Bins];
        for (ulong i = 0; i < Draws; i++)
        {
            double uniform = isAlongSeeds ? CounterRandom.UniformDouble(i, 3) : CounterRandom.UniformDouble(3, i);
            counts[(int)(uniform * Bins)]++;
        }

        double chiSquare = counts.Sum(c => Math.Pow(c - (Draws / Bins), 2) / (Draws / Bins));
        Assert.InRange(chiSquare, 30, 109); // 63 degrees of freedom: outside with a probability of about 0.0004
    }
}
