using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

/// <summary>Draws, token by token, against the reference's full sort and its inversion of the same uniform numbers.</summary>
public class SamplerFilterTests
{
    public static TheoryData<string, SamplingParameters> Filters() => new()
    {
        { "none", new() },
        { "temperature 0.3", new() { Temperature = 0.3f } },
        { "temperature 100", new() { Temperature = 100 } },
        { "top-k 1", new() { TopK = 1 } },
        { "top-k 40", new() { TopK = 40 } },
        { "top-k 600", new() { TopK = 600, Temperature = 5 } },
        { "top-k of the vocabulary", new() { TopK = 3001 } },
        { "top-k beyond the vocabulary", new() { TopK = int.MaxValue } },
        { "top-p 0.05", new() { TopP = 0.05f } },
        { "top-p 0.9", new() { TopP = 0.9f } },
        { "top-p 0.99 of a flat distribution", new() { TopP = 0.99f, Temperature = 50 } },
        { "top-p tiny", new() { TopP = float.Epsilon } },
        { "top-p just below 1", new() { TopP = MathF.BitDecrement(1) } },
        { "min-p 0.05", new() { MinP = 0.05f } },
        { "min-p 1", new() { MinP = 1 } },
        { "top-k and top-p", new() { TopK = 50, TopP = 0.8f, Temperature = 2 } },
        { "top-k and min-p", new() { TopK = 50, MinP = 0.1f, Temperature = 2 } },
        { "top-p and min-p", new() { TopP = 0.95f, MinP = 0.02f, Temperature = 1.5f } },
        {
            "everything",
            new()
            {
                Temperature = 1.3f, TopK = 100, TopP = 0.95f, MinP = 0.001f, RepetitionPenalty = 1.2f, FrequencyPenalty = 0.3f,
                PresencePenalty = 0.4f, LogitBias = new Dictionary<int, float> { [7] = 9, [8] = -9 }, TopLogProbs = 3,
            }
        },
    };

    [Theory]
    [MemberData(nameof(Filters), DisableDiscoveryEnumeration = true)]
    public void Draws_must_equal_those_of_the_sorting_reference(string name, SamplingParameters parameters)
    {
        const int Vocabulary = 3001;
        var sampler = new Sampler(Vocabulary);
        var random = new Random(name.Length);
        int compared = 0;
        for (ulong seed = 0; seed < 8; seed++)
        {
            float[] logits = SamplerReference.RandomLogits(random, Vocabulary);
            int[] history = [.. Enumerable.Range(0, 300).Select(_ => random.Next(Vocabulary))];
            compared += AssertSameDraws(sampler, logits, parameters with { Seed = seed }, history, promptLength: 200, draws: 25);
        }

        Assert.InRange(compared, 190, 200);
    }

    /// <summary>Logits on a coarse grid: hundreds of ties at every cut, which must fall by the lower id.</summary>
    [Theory]
    [MemberData(nameof(Filters), DisableDiscoveryEnumeration = true)]
    public void Ties_at_a_cut_must_keep_the_lower_ids(string name, SamplingParameters parameters)
    {
        const int Vocabulary = 1234;
        var sampler = new Sampler(Vocabulary);
        var random = new Random(name.Length);
        int compared = 0;
        for (ulong seed = 0; seed < 8; seed++)
        {
            float[] logits = [.. Enumerable.Range(0, Vocabulary).Select(_ => random.Next(-4, 3) + (random.Next(9) == 0 ? float.NaN : 0))];
            compared += AssertSameDraws(sampler, logits, parameters with { Seed = seed }, [1, 2, 2, 3], promptLength: 2, draws: 25);
        }

        Assert.InRange(compared, 190, 200);
    }

    [Fact]
    public void A_vocabulary_of_llama_3_must_be_sampled_like_a_small_one()
    {
        const int Vocabulary = 128_256;
        var sampler = new Sampler(Vocabulary);
        float[] logits = SamplerReference.RandomLogits(new Random(11), Vocabulary);
        int compared = 0;
        foreach (var parameters in new SamplingParameters[]
                 {
                     new() { Seed = 1 }, new() { Seed = 2, TopK = 64, TopP = 0.9f }, new() { Seed = 3, TopP = 0.9f, Temperature = 0.7f },
                     new() { Seed = 4, TopP = 0.9f, Temperature = 10 }, new() { Seed = 5, TopK = 100_000, Temperature = 10 },
                 })
            compared += AssertSameDraws(sampler, logits, parameters, [], 0, draws: 10);
        Assert.InRange(compared, 40, 50);
    }

    [Theory]
    [InlineData(0.3f)]
    [InlineData(0.1f)]
    [InlineData(0.7f)]
    [InlineData(0.51f)]
    public void Min_p_must_cut_between_neighbouring_floats(float minP)
    {
        float below = (float)Math.Log(minP), above = below;
        while (below >= Math.Log(minP))
            below = MathF.BitDecrement(below);
        while (above < Math.Log(minP))
            above = MathF.BitIncrement(above);

        var sampler = new Sampler(3);
        var drawn = Enumerable.Range(0, 200).Select(i => SamplerTests.Sample(sampler, [0, below, above], new() { MinP = minP }, index: i).Token);
        Assert.Equal([0, 2], drawn.Distinct().Order());
    }

    [Fact]
    public void A_filter_that_drops_next_to_nothing_must_not_change_the_draw()
    {
        float[] logits = SamplerReference.RandomLogits(new Random(12), 777);
        var sampler = new Sampler(777);
        for (int i = 0; i < 50; i++)
        {
            int token = SamplerTests.Sample(sampler, logits, new(), index: i).Token;
            Assert.Equal(token, SamplerTests.Sample(sampler, logits, new() { TopK = 776, MinP = 1e-12f }, index: i).Token);
        }
    }

    /// <summary>Compares draws; returns how many were far enough from a boundary of the cumulative distribution to compare.</summary>
    private static int AssertSameDraws(
        Sampler sampler, float[] logits, SamplingParameters parameters, int[] history, int promptLength, int draws)
    {
        double[] probabilities = SamplerReference.Distribution(logits, parameters, history, promptLength);
        int compared = 0;
        for (int index = 0; index < draws; index++)
        {
            int? expected = SamplerReference.Draw(probabilities, CounterRandom.UniformDouble(parameters.Seed, (ulong)index));
            int token = SamplerTests.Sample(sampler, logits, parameters, history, promptLength, index).Token;
            if (expected is null)
                continue;
            Assert.Equal(expected, token);
            compared++;
        }

        return compared;
    }
}
