using System.Diagnostics.Metrics;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>What is measured of the generations that this gateway serves, over HTTP and TCP alike.</summary>
internal static class GenerationMetrics
{
    /// <summary>The beginning of the names of the project's meters.</summary>
    public const string MeterPrefix = "Llama3Cluster";

    private static readonly Meter Meter = new(MeterPrefix + ".Gateway");

    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    };

    /// <summary>Generations that ended, by how.</summary>
    public static Counter<long> Generations { get; } =
        Meter.CreateCounter<long>("llama3cluster.generations", description: "Generations that ended, by their outcome.");

    /// <summary>Generations that have not ended.</summary>
    public static UpDownCounter<long> Open { get; } =
        Meter.CreateUpDownCounter<long>("llama3cluster.generations.open", description: "Generations in a queue or running.");

    /// <summary>Tokens of the prompts.</summary>
    public static Counter<long> PromptTokens { get; } =
        Meter.CreateCounter<long>("llama3cluster.prompt_tokens", description: "Tokens of the prompts of started generations.");

    /// <summary>Tokens of the answers.</summary>
    public static Counter<long> GeneratedTokens { get; } =
        Meter.CreateCounter<long>("llama3cluster.generated_tokens", description: "Tokens that were generated.");

    /// <summary>From the request to its first token.</summary>
    public static Histogram<double> TimeToFirstToken { get; } =
        Meter.CreateHistogram("llama3cluster.time_to_first_token", "s", "Time from a request to its first token.", [], Seconds);

    /// <summary>From each token to the next.</summary>
    public static Histogram<double> TimeBetweenTokens { get; } =
        Meter.CreateHistogram("llama3cluster.time_between_tokens", "s", "Time from each token to the next.", [], Seconds);

    /// <summary>From the request to its end.</summary>
    public static Histogram<double> Duration { get; } =
        Meter.CreateHistogram(
            "llama3cluster.generation.duration", "s", "Time from a request to the end of its answer.", [], Seconds);
}
