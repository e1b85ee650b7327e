using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

public class SamplingParametersTests
{
    private const int Vocabulary = 100;

    public static TheoryData<string, string, SamplingParameters> WrongParameters() => new()
    {
        { "temperature", "-0.5", new() { Temperature = -0.5f } },
        { "temperature", "100.5", new() { Temperature = 100.5f } },
        { "temperature", "NaN", new() { Temperature = float.NaN } },
        { "top_k", "-1", new() { TopK = -1 } },
        { "top_p", "0", new() { TopP = 0 } },
        { "top_p", "1.5", new() { TopP = 1.5f } },
        { "top_p", "NaN", new() { TopP = float.NaN } },
        { "min_p", "-0.25", new() { MinP = -0.25f } },
        { "min_p", "1.25", new() { MinP = 1.25f } },
        { "repetition_penalty", "0", new() { RepetitionPenalty = 0 } },
        { "repetition_penalty", "∞", new() { RepetitionPenalty = float.PositiveInfinity } },
        { "frequency_penalty", "2.5", new() { FrequencyPenalty = 2.5f } },
        { "frequency_penalty", "-∞", new() { FrequencyPenalty = float.NegativeInfinity } },
        { "presence_penalty", "-2.5", new() { PresencePenalty = -2.5f } },
        { "presence_penalty", "NaN", new() { PresencePenalty = float.NaN } },
        { "top_logprobs", "21", new() { TopLogProbs = 21 } },
        { "top_logprobs", "-1", new() { TopLogProbs = -1 } },
        { "logit_bias", "100.5", new() { LogitBias = new Dictionary<int, float> { [3] = 100.5f } } },
        { "logit_bias", "NaN", new() { LogitBias = new Dictionary<int, float> { [3] = float.NaN } } },
        { "logit_bias", "100", new() { LogitBias = new Dictionary<int, float> { [100] = 1 } } },
        { "logit_bias", "-1", new() { LogitBias = new Dictionary<int, float> { [-1] = 1 } } },
    };

    [Theory]
    [MemberData(nameof(WrongParameters), DisableDiscoveryEnumeration = true)]
    public void A_wrong_parameter_must_be_named_with_its_value(string parameter, string value, SamplingParameters parameters)
    {
        var error = Assert.Single(parameters.Validate(Vocabulary));
        Assert.Equal(parameter, error.Parameter);
        Assert.StartsWith(parameter, error.Message, StringComparison.Ordinal);
        Assert.Contains($" {value}", error.Message.Replace("Infinity", "∞", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void The_ends_of_every_range_must_be_accepted()
    {
        Assert.Empty(new SamplingParameters().Validate(Vocabulary));
        Assert.Empty(new SamplingParameters
        {
            Temperature = 0,
            TopK = 0,
            TopP = float.Epsilon,
            MinP = 0,
            RepetitionPenalty = float.Epsilon,
            FrequencyPenalty = -2,
            PresencePenalty = -2,
            TopLogProbs = 0,
            LogitBias = new Dictionary<int, float> { [0] = -100 },
        }.Validate(Vocabulary));
        Assert.Empty(new SamplingParameters
        {
            Temperature = 100,
            TopK = int.MaxValue,
            TopP = 1,
            MinP = 1,
            RepetitionPenalty = 10,
            FrequencyPenalty = 2,
            PresencePenalty = 2,
            TopLogProbs = 20,
            LogitBias = new Dictionary<int, float> { [Vocabulary - 1] = 100 },
        }.Validate(Vocabulary));
    }

    [Fact]
    public void Every_wrong_parameter_must_get_its_own_error()
    {
        var parameters = new SamplingParameters { Temperature = -1, TopP = 2, MinP = 2, TopLogProbs = 99 };
        Assert.Equal(["temperature", "top_p", "min_p", "top_logprobs"], parameters.Validate(Vocabulary).Select(e => e.Parameter));
    }

    [Fact]
    public void Parameters_of_equal_values_must_be_equal() =>
        Assert.Equal(new SamplingParameters { Temperature = 0 }, SamplingParameters.Greedy);

    [Fact]
    public void A_bias_must_not_change_with_the_dictionary_it_was_set_from()
    {
        var source = new Dictionary<int, float> { [1] = 2 };
        var parameters = new SamplingParameters { LogitBias = source };
        source[1] = 50;
        Assert.Equal(2, parameters.LogitBias[1]);
    }

    [Fact]
    public void More_biases_than_a_step_can_carry_must_be_refused()
    {
        Dictionary<int, float> biases = Enumerable.Range(0, SamplingParameters.MaxLogitBiases + 1).ToDictionary(token => token, _ => 1f);

        ParameterError error = Assert.Single(new SamplingParameters { LogitBias = biases }.Validate(5000));

        Assert.Equal("logit_bias", error.Parameter);
        Assert.Contains("1025", error.Message, StringComparison.Ordinal);
    }
}
