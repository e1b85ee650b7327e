using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

/// <summary>The largest logits alone must lead to the choice that all of them lead to.</summary>
public sealed class SamplerCandidateTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(30)]
    [InlineData(511)]
    [InlineData(2048)]
    [InlineData(5000)]
    public void The_choice_must_be_the_same(int vocabulary)
    {
        var random = new Random(vocabulary);
        var sampler = new Sampler(vocabulary);
        for (int i = 0; i < 2000; i++)
        {
            float[] logits = Logits(random, vocabulary);
            SamplingParameters parameters = Parameters(random);
            int needed = sampler.CandidatesFor(parameters);
            Assert.InRange(needed, 1, Math.Min(vocabulary, Candidate.Most));

            // Another row of the step may have asked for more.
            var best = new Candidate[random.Next(needed, Math.Min(vocabulary, Candidate.Most) + 1)];
            Candidate.Select(logits, best);
            bool decided = sampler.TrySample(best, parameters, i, out TokenLogProb token);
            if (!float.IsFinite(best[0].Value))
            {
                Assert.False(decided);
                continue;
            }

            Assert.True(decided);
            Assert.Equal(sampler.Sample(logits, parameters, [], 0, i, [], out _), token);
        }
    }

    [Fact]
    public void Where_all_logits_count_no_candidates_must_be_asked_for()
    {
        var sampler = new Sampler(1000);
        Assert.Equal(0, sampler.CandidatesFor(new SamplingParameters()));
        Assert.Equal(0, sampler.CandidatesFor(new SamplingParameters { TopP = 0.9f }));
        Assert.Equal(0, sampler.CandidatesFor(new SamplingParameters { TopK = Candidate.Most }));
        Assert.Equal(0, sampler.CandidatesFor(SamplingParameters.Greedy with { TopLogProbs = 0 }));
        Assert.Equal(0, sampler.CandidatesFor(SamplingParameters.Greedy with { PresencePenalty = 1 }));
        Assert.Equal(0, sampler.CandidatesFor(SamplingParameters.Greedy with { LogitBias = new Dictionary<int, float> { [3] = 1 } }));
        Assert.Equal(1, sampler.CandidatesFor(SamplingParameters.Greedy));
        Assert.Equal(41, sampler.CandidatesFor(new SamplingParameters { TopK = 40, TopP = 0.9f, MinP = 0.1f }));
        Assert.Equal(Candidate.Most, sampler.CandidatesFor(new SamplingParameters { TopK = Candidate.Most - 1 }));
    }

    [Fact]
    public void Too_few_candidates_must_be_refused()
    {
        var sampler = new Sampler(1000);
        var best = new Candidate[40];
        Assert.Throws<ArgumentException>(() => sampler.TrySample(best, new SamplingParameters { TopK = 40 }, 0, out _));
        Assert.Throws<ArgumentException>(() => sampler.TrySample(best, new SamplingParameters(), 0, out _));
    }

    [Fact]
    public void A_choice_must_allocate_nothing()
    {
        var sampler = new Sampler(1000);
        var random = new Random(1);
        var best = new Candidate[50];
        Candidate.Select(Logits(random, 1000), best);
        var parameters = new SamplingParameters { TopK = 40, TopP = 0.9f };
        sampler.TrySample(best, parameters, 0, out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        sampler.TrySample(best, parameters, 1, out _);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    // Flat and steep, with ties, zeros of both signs, and what is no number.
    private static float[] Logits(Random random, int count)
    {
        float scale = MathF.Pow(10, random.Next(-2, 3)), step = random.Next(3) == 0 ? 0.25f * scale : 0;
        int spoilt = random.Next(4);
        var logits = new float[count];
        foreach (ref float logit in logits.AsSpan())
        {
            float value = scale * ((2 * random.NextSingle()) - 1);
            logit = step > 0 ? MathF.Round(value / step) * step : value;
            if (spoilt == 0 && random.Next(20) == 0)
                logit = random.Next(3) switch { 0 => float.NaN, 1 => float.NegativeInfinity, _ => -0f };
            else if (spoilt == 1 && random.Next(count) > 3)
                logit = float.NegativeInfinity;
            else if (spoilt == 2 && random.Next(40 * count) == 0)
                logit = float.PositiveInfinity;
        }

        return logits;
    }

    private static SamplingParameters Parameters(Random random) => random.Next(6) == 0
        ? SamplingParameters.Greedy
        : new SamplingParameters
        {
            Temperature = (float)Math.Pow(10, random.Next(-2, 2)),
            TopK = random.Next(1, Candidate.Most),
            TopP = random.Next(2) == 0 ? 1 : 0.05f + (0.95f * random.NextSingle()),
            MinP = random.Next(3) == 0 ? random.NextSingle() : 0,
            Seed = (ulong)random.NextInt64(),
        };
}
