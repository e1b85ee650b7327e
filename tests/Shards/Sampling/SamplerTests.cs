using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

public class SamplerTests
{
    private const int Llama3Vocabulary = 128_256;

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(1000)]
    [InlineData(Llama3Vocabulary)]
    public void Greedy_must_take_the_lowest_id_of_equal_largest_logits(int vocabulary)
    {
        var sampler = new Sampler(vocabulary);
        foreach (int first in new[] { 0, vocabulary / 2, vocabulary - 1 })
        {
            var logits = Enumerable.Repeat(-1f, vocabulary).ToArray();
            logits[first] = logits[^1] = 2;
            Assert.Equal(first, Sample(sampler, logits, SamplingParameters.Greedy).Token);
        }
    }

    [Fact]
    public void Greedy_must_take_negative_and_positive_zero_for_equal() =>
        Assert.Equal(1, Sample(new Sampler(3), [-1, -0f, 0f], SamplingParameters.Greedy).Token);

    [Fact]
    public void A_replay_must_draw_the_same_tokens_in_any_order()
    {
        float[] logits = SamplerReference.RandomLogits(new Random(1), 500);
        var parameters = new SamplingParameters { Seed = 42 };
        var sampler = new Sampler(500);
        int[] run = [.. Enumerable.Range(0, 50).Select(i => Sample(sampler, logits, parameters, index: i).Token)];
        int[] replay = [.. Enumerable.Range(0, 50).Reverse().Select(i => Sample(new Sampler(500), logits, parameters, index: i).Token).Reverse()];
        int[] other = [.. Enumerable.Range(0, 50).Select(i => Sample(sampler, logits, parameters with { Seed = 43 }, index: i).Token)];
        Assert.Equal(run, replay);
        Assert.NotEqual(run, other);
        Assert.True(run.Distinct().Count() > 10);
    }

    [Theory]
    [InlineData(1f)]
    [InlineData(0.5f)]
    [InlineData(2f)]
    public void Draws_must_follow_the_softmax_at_the_temperature(float temperature)
    {
        const int Draws = 20_000;
        float[] logits = [1, 0, -1, 2, 0.5f, -0.5f, 1.5f, 0];
        var parameters = new SamplingParameters { Temperature = temperature, Seed = 5 };
        double[] expected = SamplerReference.Distribution(logits, parameters, [], 0);
        var sampler = new Sampler(8);
        var counts = new int[8];
        for (int i = 0; i < Draws; i++)
            counts[Sample(sampler, logits, parameters, index: i).Token]++;

        double chiSquare = Enumerable.Range(0, 8).Sum(t => Math.Pow(counts[t] - (Draws * expected[t]), 2) / (Draws * expected[t]));
        Assert.InRange(chiSquare, 0, 24.3); // 7 degrees of freedom: larger with a probability of 0.001
    }

    [Fact]
    public void Repetition_penalty_must_divide_positive_and_multiply_negative_logits_once_over_prompt_and_answer()
    {
        var parameters = SamplingParameters.Greedy with { RepetitionPenalty = 2 };
        var sampler = new Sampler(3);
        Assert.Equal(1, Sample(sampler, [4, 2.5f, 0], parameters, [0, 0], promptLength: 2).Token); // 4 / 2 = 2 < 2.5
        Assert.Equal(0, Sample(sampler, [4, 1.5f, 0], parameters, [0, 0], promptLength: 1).Token); // once only: 2 > 1.5
        Assert.Equal(1, Sample(sampler, [-1, -1.5f, -9], parameters, [0], promptLength: 0).Token); // -2 < -1.5
    }

    [Fact]
    public void Frequency_penalty_must_count_the_tokens_of_the_answer_only()
    {
        var parameters = SamplingParameters.Greedy with { FrequencyPenalty = 1 };
        var sampler = new Sampler(2);
        Assert.Equal(0, Sample(sampler, [3, 0.5f], parameters, [0, 0, 0, 0], promptLength: 2).Token); // 3 - 2 = 1 > 0.5
        Assert.Equal(1, Sample(sampler, [3, 0.5f], parameters, [0, 0, 0, 0], promptLength: 1).Token); // 3 - 3 = 0 < 0.5
    }

    [Fact]
    public void Presence_penalty_must_be_taken_once_from_tokens_of_the_answer()
    {
        var parameters = SamplingParameters.Greedy with { PresencePenalty = 1 };
        var sampler = new Sampler(2);
        Assert.Equal(0, Sample(sampler, [2, 0.5f], parameters, [0, 0, 0], promptLength: 1).Token); // 2 - 1 = 1 > 0.5
        Assert.Equal(1, Sample(sampler, [1, 0.5f], parameters, [0, 0, 0], promptLength: 1).Token); // 1 - 1 = 0 < 0.5
        Assert.Equal(0, Sample(sampler, [1, 0.5f], parameters, [0, 0, 0], promptLength: 3).Token); // prompt: no penalty
    }

    [Fact]
    public void Penalties_must_leave_no_trace_in_the_next_call()
    {
        var sampler = new Sampler(2);
        var penalized = SamplingParameters.Greedy with { RepetitionPenalty = 10, FrequencyPenalty = 2, PresencePenalty = 2 };
        Sample(sampler, [2, 1], penalized, [0, 0, 0], promptLength: 1);
        Assert.Equal(0, Sample(sampler, [2, 1], penalized, [1], promptLength: 1).Token);
        Assert.Throws<ArgumentException>(() => Sample(sampler, [2, 1], penalized, [0, 7], promptLength: 0));
        Assert.Equal(0, Sample(sampler, [2, 1], penalized, [], promptLength: 0).Token);
    }

    [Fact]
    public void Bias_must_come_before_the_penalties()
    {
        var parameters = SamplingParameters.Greedy with { RepetitionPenalty = 2, LogitBias = new Dictionary<int, float> { [0] = 2 } };
        Assert.Equal(1, Sample(new Sampler(2), [2, 2.5f], parameters, [0], promptLength: 1).Token); // (2 + 2) / 2 < 2.5 < 2 / 2 + 2
    }

    [Fact]
    public void Bias_of_100_must_force_and_of_minus_100_ban_a_token()
    {
        float[] logits = SamplerReference.RandomLogits(new Random(3), 50);
        int best = Array.IndexOf(logits, logits.Max());
        var forced = new SamplingParameters { LogitBias = new Dictionary<int, float> { [17] = 100 } };
        var banned = SamplingParameters.Greedy with { LogitBias = new Dictionary<int, float> { [best] = -100 } };
        var sampler = new Sampler(50);
        Assert.All(Enumerable.Range(0, 20), i => Assert.Equal(17, Sample(sampler, logits, forced, index: i).Token));
        Assert.NotEqual(best, Sample(sampler, logits, banned).Token);
    }

    [Fact]
    public void Nan_logits_must_never_be_drawn()
    {
        var sampler = new Sampler(9);
        float[] logits = [float.NaN, 0, float.NaN, 0, float.NegativeInfinity, float.NaN, float.NaN, float.NaN, float.NaN];
        Assert.Equal(1, Sample(sampler, logits, SamplingParameters.Greedy).Token);
        int[] drawn = [.. Enumerable.Range(0, 100).Select(i => Sample(sampler, logits, new(), index: i).Token).Distinct().Order()];
        Assert.Equal([1, 3], drawn);
    }

    [Fact]
    public void Extreme_logits_must_neither_overflow_nor_lose_the_largest()
    {
        var sampler = new Sampler(4);
        var parameters = new SamplingParameters { TopLogProbs = 4 };
        SamplingParameters[] all = [parameters, parameters with { TopP = 0.9f }, parameters with { MinP = 0.1f }, parameters with { TopK = 2 }];
        foreach (var filtered in all)
        {
            Assert.Equal(new TokenLogProb(2, 0), Sample(sampler, [float.MinValue, 0, float.MaxValue, 1e30f], filtered));
            Assert.Equal(new TokenLogProb(2, 0), Sample(sampler, [0, float.MaxValue / 2, float.PositiveInfinity, float.NaN], filtered));
            Assert.Equal(new TokenLogProb(1, 0), Sample(sampler, [float.NegativeInfinity, -3e38f, float.NegativeInfinity, float.NaN], filtered));
        }

        Assert.Equal(3, Sample(sampler, [0, 1, 2, 3], parameters with { Temperature = float.Epsilon }).Token);
    }

    [Fact]
    public void Logits_without_a_number_must_be_refused()
    {
        var sampler = new Sampler(3);
        foreach (var parameters in new[] { SamplingParameters.Greedy, new SamplingParameters() })
        {
            var error = Assert.Throws<InvalidOperationException>(
                () => Sample(sampler, [float.NaN, float.NegativeInfinity, float.NaN], parameters));
            Assert.Contains("all 3 logits", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Arguments_that_do_not_fit_must_be_refused_with_their_numbers()
    {
        var sampler = new Sampler(3);
        var length = Assert.Throws<ArgumentException>(() => Sample(sampler, [1, 2], SamplingParameters.Greedy));
        Assert.Contains("2 logits for a vocabulary of 3", length.Message, StringComparison.Ordinal);
        var biased = SamplingParameters.Greedy with { LogitBias = new Dictionary<int, float> { [3] = 1 } };
        var bias = Assert.Throws<ArgumentException>(() => Sample(sampler, [1, 2, 3], biased));
        Assert.Contains("token 3", bias.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Sample(sampler, [1, 2, 3], SamplingParameters.Greedy, index: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Sample(sampler, [1, 2, 3], SamplingParameters.Greedy, [0], promptLength: 2));
        Assert.Throws<ArgumentException>(
            () => sampler.Sample([1, 2, 3], SamplingParameters.Greedy with { TopLogProbs = 2 }, [], 0, 0, new TokenLogProb[1], out _));
    }

    [Fact]
    public void A_sample_must_allocate_nothing()
    {
        const int Vocabulary = 5000;
        var sampler = new Sampler(Vocabulary);
        float[] logits = SamplerReference.RandomLogits(new Random(4), Vocabulary), scratch = new float[Vocabulary];
        int[] history = [1, 2, 3, 2, 1, 4000];
        var top = new TokenLogProb[SamplingParameters.MaxTopLogProbs];
        var everything = new SamplingParameters
        {
            Temperature = 0.8f,
            TopK = 200,
            TopP = 0.9f,
            MinP = 0.001f,
            RepetitionPenalty = 1.1f,
            FrequencyPenalty = 0.1f,
            PresencePenalty = 0.1f,
            LogitBias = new Dictionary<int, float> { [5] = 1 },
            TopLogProbs = 20,
        };
        SamplingParameters[] all = [everything, new(), SamplingParameters.Greedy, new() { TopP = 0.9f }];

        void Run(int index)
        {
            foreach (var parameters in all)
            {
                logits.CopyTo(scratch, 0);
                sampler.Sample(scratch, parameters, history, 3, index, top, out _);
            }
        }

        // The runtime has been seen to allocate on this thread, once. The samples of all windows are the same, so theirs would be in each.
        const int Windows = 10;
        Run(0);
        int clean = 0;
        for (int window = 0; window < Windows; window++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 1; i <= 100; i++)
                Run(i);
            if (GC.GetAllocatedBytesForCurrentThread() == before)
                clean++;
        }

        Assert.InRange(clean, Windows - 1, Windows);
    }

    internal static TokenLogProb Sample(
        Sampler sampler, float[] logits, SamplingParameters parameters, int[]? history = null, int promptLength = 0, int index = 0) =>
        sampler.Sample([.. logits], parameters, history, promptLength, index, new TokenLogProb[20], out _);
}
