using System.Diagnostics.Metrics;

namespace Llama3Cluster.Actors.Generations;

/// <summary>What is measured of the token logs on this gateway.</summary>
internal static class LogMetrics
{
    private static readonly Meter Meter = new("Llama3Cluster.Actors");

    /// <summary>Tokens that were told to clients before another gateway had a copy of them, because it was late.</summary>
    public static Counter<long> Unreplicated { get; } = Meter.CreateCounter<long>(
        "llama3cluster.log.unreplicated_tokens", description: "Tokens told to clients without the copy on another gateway that there should be.");

    /// <summary>Tokens that another gateway has a copy of.</summary>
    public static Counter<long> Replicated { get; } = Meter.CreateCounter<long>(
        "llama3cluster.log.replicated_tokens", description: "Tokens sent to another gateway that keeps a copy of them.");

    /// <summary>Batches of tokens to other gateways.</summary>
    public static Counter<long> Batches { get; } = Meter.CreateCounter<long>(
        "llama3cluster.log.batches", description: "Batches of tokens sent to other gateways.");

    /// <summary>Generations that went on from a log, after the gateway or the actor that had them was gone.</summary>
    public static Counter<long> Recovered { get; } = Meter.CreateCounter<long>(
        "llama3cluster.log.recovered", description: "Generations that went on from their log.");

    /// <summary>Logs that this gateway owns.</summary>
    public static UpDownCounter<long> Own { get; } = Meter.CreateUpDownCounter<long>(
        "llama3cluster.logs.own", description: "Token logs of generations that live on this gateway.");
}
