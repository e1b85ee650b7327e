namespace Llama3Cluster.Shards.Sampling;

/// <summary>How the next token is chosen from the logits. The defaults leave the distribution as it is.</summary>
public sealed record SamplingParameters
{
    /// <summary>Most alternatives that can be reported for a token.</summary>
    public const int MaxTopLogProbs = 20;

    private static readonly Dictionary<int, float> NoBias = [];

    /// <summary>Most tokens that <see cref="LogitBias"/> may name.</summary>
    public const int MaxLogitBiases = 1024;

    /// <summary>Always the likeliest token.</summary>
    public static SamplingParameters Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Divides the logits; 0 takes the likeliest token. 0 to 100.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Keep only the k likeliest tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the likeliest tokens whose probabilities reach this sum; 1 keeps all. (0, 1].</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Keep tokens at least this fraction as likely as the likeliest; 0 keeps all. [0, 1].</summary>
    public float MinP { get; init; }

    /// <summary>
    /// Divides positive and multiplies negative logits of tokens that the prompt or the answer already has; 1 is none. (0, 10].
    /// </summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted from a token's logit for each time the answer already has it. [-2, 2].</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once from the logits of tokens that the answer already has. [-2, 2].</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Added to the logits of single tokens before everything else. Copied when set. [-100, 100].</summary>
    public IReadOnlyDictionary<int, float> LogitBias
    {
        get => Bias;
        init => Bias = value.Count == 0 ? NoBias : new Dictionary<int, float>(value);
    }

    /// <summary>Key of the random numbers: the same seed, prompt and parameters give the same answer.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// Alternatives to report with each token's log-probability; null reports none, not even the token's own. 0 to 20.
    /// </summary>
    public int? TopLogProbs { get; init; }

    /// <summary>The bias as the type whose enumerator does not allocate.</summary>
    internal Dictionary<int, float> Bias { get; private init; } = NoBias;

    /// <summary>Checks every parameter, for the boundary where clients' values come in.</summary>
    /// <param name="vocabularySize">Tokens of the model, for the ids in <see cref="LogitBias"/>.</param>
    /// <returns>One error for each wrong parameter or biased token; empty when all can be honoured. NaN is in no range.</returns>
    public IReadOnlyList<ParameterError> Validate(int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 1);
        var errors = new List<ParameterError>();
        Require(Temperature is >= 0 and <= 100, "temperature", Temperature, "from 0 to 100");
        Require(TopK >= 0, "top_k", TopK, "0 (keep all) or more");
        Require(TopP is > 0 and <= 1, "top_p", TopP, "above 0 and at most 1");
        Require(MinP is >= 0 and <= 1, "min_p", MinP, "from 0 to 1");
        Require(RepetitionPenalty is > 0 and <= 10, "repetition_penalty", RepetitionPenalty, "above 0 and at most 10");
        Require(FrequencyPenalty is >= -2 and <= 2, "frequency_penalty", FrequencyPenalty, "from -2 to 2");
        Require(PresencePenalty is >= -2 and <= 2, "presence_penalty", PresencePenalty, "from -2 to 2");
        Require(TopLogProbs is null or (>= 0 and <= MaxTopLogProbs), "top_logprobs", TopLogProbs, $"from 0 to {MaxTopLogProbs}");
        if (Bias.Count > MaxLogitBiases)
        {
            errors.Add(new ParameterError("logit_bias", $"logit_bias names {Bias.Count} tokens; at most {MaxLogitBiases} are taken"));
            return errors;
        }

        foreach (var (token, bias) in Bias)
        {
            if (token < 0 || token >= vocabularySize)
            {
                errors.Add(new ParameterError(
                    "logit_bias", $"logit_bias names token {token}, but the model's tokens are 0 to {vocabularySize - 1}"));
            }

            Require(bias is >= -100 and <= 100, "logit_bias", bias, "from -100 to 100", $"logit_bias of token {token}");
        }

        return errors;

        void Require<T>(bool valid, string parameter, T value, string range, string? subject = null)
        {
            if (!valid)
                errors.Add(new ParameterError(parameter, $"{subject ?? parameter} is {value}, but must be {range}"));
        }
    }
}
