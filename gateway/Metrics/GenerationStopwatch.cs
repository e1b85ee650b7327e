using System.Diagnostics;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>Measures one generation from its request to its end.</summary>
internal sealed class GenerationStopwatch
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _lastToken;
    private bool _ended;

    public GenerationStopwatch() => GenerationMetrics.Open.Add(1);

    /// <summary>The generation is in a queue.</summary>
    public static void Started(int promptTokens) => GenerationMetrics.PromptTokens.Add(promptTokens);

    /// <summary>A token came.</summary>
    public void Token()
    {
        long now = Stopwatch.GetTimestamp();
        if (_lastToken == 0)
            GenerationMetrics.TimeToFirstToken.Record(Stopwatch.GetElapsedTime(_start, now).TotalSeconds);
        else
            GenerationMetrics.TimeBetweenTokens.Record(Stopwatch.GetElapsedTime(_lastToken, now).TotalSeconds);
        _lastToken = now;
        GenerationMetrics.GeneratedTokens.Add(1);
    }

    /// <summary>The generation failed.</summary>
    public void Fail(Exception error) => End(error switch
    {
        OperationCanceledException => "cancelled",
        GenerationFailedException { Failure.Code: FailureCode.InvalidRequest } => "invalid_request",
        GenerationFailedException { Failure.Code: FailureCode.ContextLengthExceeded } => "context_length_exceeded",
        GenerationFailedException { Failure.Code: FailureCode.QueueFull } => "queue_full",
        GenerationFailedException { Failure.Code: FailureCode.Unavailable } => "unavailable",
        GenerationFailedException { Failure.Code: FailureCode.NotFound } => "not_found",
        _ => "failed",
    });

    /// <summary>The generation ended; only its first end counts.</summary>
    public void End(string outcome)
    {
        if (_ended)
            return;
        _ended = true;
        GenerationMetrics.Open.Add(-1);
        GenerationMetrics.Generations.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        GenerationMetrics.Duration.Record(Stopwatch.GetElapsedTime(_start).TotalSeconds);
    }
}
