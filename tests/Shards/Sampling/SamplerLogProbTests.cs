using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

public class SamplerLogProbTests
{
    [Theory]
    [InlineData(5)]
    [InlineData(128_256)]
    public void Log_probabilities_must_be_those_of_the_model_before_bias_penalties_temperature_and_filters(int vocabulary)
    {
        float[] logits = SamplerReference.RandomLogits(new Random(vocabulary), vocabulary);
        double[] expected = SamplerReference.LogProbs(logits);
        var sampler = new Sampler(vocabulary);
        var plain = new SamplingParameters { TopLogProbs = 5 };
        var adjusted = plain with
        {
            Temperature = 0.5f,
            TopK = 3,
            TopP = 0.9f,
            RepetitionPenalty = 1.5f,
            PresencePenalty = 1,
            LogitBias = new Dictionary<int, float> { [2] = 3 },
        };
        var forced = adjusted with { LogitBias = new Dictionary<int, float> { [2] = 100 } };
        foreach (var parameters in new[] { plain, adjusted, forced, adjusted with { Temperature = 0 } })
        {
            var top = new TokenLogProb[5];
            var token = sampler.Sample([.. logits], parameters, [0, 1, 1], 1, 0, top, out int count);
            Assert.Equal(expected[token.Token], token.LogProb, 5e-6);
            Assert.Equal(5, count);
            Assert.Equal(Enumerable.Range(0, vocabulary).OrderByDescending(t => logits[t]).Take(5), top.Select(t => t.Token));
            Assert.All(top, t => Assert.Equal(expected[t.Token], t.LogProb, 5e-6));
        }

        Assert.Equal(2, SamplerTests.Sample(sampler, logits, forced).Token);
    }

    [Fact]
    public void Top_tokens_of_equal_logits_must_come_in_the_order_of_their_ids()
    {
        float[] logits = [.. Enumerable.Range(0, 2000).Select(t => t % 100 == 50 ? 1f : 0f)];
        var top = new TokenLogProb[20];
        new Sampler(2000).Sample(logits, SamplingParameters.Greedy with { TopLogProbs = 20 }, [], 0, 0, top, out int count);
        Assert.Equal(20, count);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (i * 100) + 50), top.Select(t => t.Token));

        logits = [.. Enumerable.Range(0, 2000).Select(t => t % 2 == 0 ? -0f : 0f)];
        new Sampler(2000).Sample(logits, SamplingParameters.Greedy with { TopLogProbs = 20 }, [], 0, 0, top, out _);
        Assert.Equal(Enumerable.Range(0, 20), top.Select(t => t.Token));
    }

    [Fact]
    public void Tokens_without_a_probability_must_not_be_reported()
    {
        var top = new TokenLogProb[5];
        float[] logits = [float.NegativeInfinity, 1, float.NaN, 2, float.NegativeInfinity];
        new Sampler(5).Sample(logits, SamplingParameters.Greedy with { TopLogProbs = 5 }, [], 0, 0, top, out int count);
        Assert.Equal([3, 1], top[..count].Select(t => t.Token));
    }

    [Fact]
    public void Without_top_log_probabilities_none_must_be_reported_and_with_zero_only_the_tokens_own()
    {
        var top = new TokenLogProb[5];
        var none = new Sampler(3).Sample([1, 2, 3], SamplingParameters.Greedy, [], 0, 0, top, out int noneCount);
        var own = new Sampler(3).Sample([1, 2, 3], SamplingParameters.Greedy with { TopLogProbs = 0 }, [], 0, 0, top, out int ownCount);
        Assert.Equal((new TokenLogProb(2, 0), 0), (none, noneCount));
        Assert.Equal((2, 0), (own.Token, ownCount));
        Assert.Equal(-0.407606, own.LogProb, 1e-5);
    }
}
