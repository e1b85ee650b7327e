namespace Llama3Cluster.Shards.Sampling;

/// <summary>How the next token is chosen from the logits. The defaults leave the distribution as it is.</summary>
public sealed record SamplingParameters
{
    /// <summary>Most alternatives that can be reported for a token.</summary>
    public const int MaxTopLogProbs = 20;

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

    /// <summary>Divides positive and multiplies negative logits of tokens that the prompt or the answer already has; 1 is none. (0, 10].</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted from a token's logit for each time the answer already has it. [-2, 2].</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once from the logits of tokens that the answer already has. [-2, 2].</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Added to the logits of single tokens before everything else. [-100, 100].</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>Key of the random numbers: the same seed, prompt and parameters give the same answer.</summary>
    public ulong Seed { get; init; }

    /// <summary>Alternatives to report with each token's log-probability; null reports none, not even the token's own.</summary>
    public int? TopLogProbs { get; init; }
}
