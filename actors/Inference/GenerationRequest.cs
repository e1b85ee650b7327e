using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Inference;

/// <summary>One answer that a client asks for.</summary>
public sealed record GenerationRequest
{
    /// <summary>Unique name of the request across the cluster.</summary>
    public required string Id { get; init; }

    /// <summary>What to continue.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingParameters Sampling { get; init; } = new();

    /// <summary>Most tokens of the answer; null lets it fill the context.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Whether to go on past the model's end tokens (for measuring).</summary>
    public bool IgnoreEnd { get; init; }

    /// <summary>Whom the answer belongs to: only who names the same owner may go on reading it.</summary>
    public string Owner { get; init; } = "";

    /// <summary>Whether the answer is kept for a while when its reader goes away, and after its end, for <see cref="IInferenceService.ResumeAsync"/>.</summary>
    public bool Resumable { get; init; }

    /// <summary>How the endpoint writes the answer, in its own terms, for the endpoint that resumes it.</summary>
    public string? Presentation { get; init; }
}
