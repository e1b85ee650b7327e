using System.Globalization;
using System.Text.Json;

namespace Llama3Cluster.Chaos;

/// <summary>What the streams of a run felt, and what was left at its end.</summary>
internal sealed record ChaosReport
{
    public required string Fault { get; init; }

    /// <summary>Faults that were injected.</summary>
    public required int Faults { get; init; }

    public required int Completed { get; init; }

    public required int Failed { get; init; }

    public required int Different { get; init; }

    /// <summary>How often streams went on at another gateway.</summary>
    public required int Resumptions { get; init; }

    /// <summary>A pause of each stream for each fault.</summary>
    public required IReadOnlyList<TimeSpan> Pauses { get; init; }

    public required long StaleFrames { get; init; }

    public required int KvBlocksUsed { get; init; }

    public required int Running { get; init; }

    public required int Waiting { get; init; }

    public IReadOnlyList<string> Notes { get; init; } = [];

    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>Whether every stream got what it was owed and everything was given back.</summary>
    public bool IsGood => Failed == 0 && Different == 0 && KvBlocksUsed == 0 && Running == 0 && Waiting == 0 && Problems.Count == 0;

    /// <summary>The middle pause.</summary>
    public TimeSpan MedianPause => At(0.5);

    /// <summary>The longest pause.</summary>
    public TimeSpan LongestPause => At(1);

    /// <summary>Ends a run: lets the streams finish and reads what the cluster still holds.</summary>
    public static async Task<ChaosReport> OfAsync(
        string fault, int faults, ChaosCluster cluster, StreamLoad load, IReadOnlyList<TimeSpan> pauses, IReadOnlyList<string> notes)
    {
        await load.StopAsync();
        var problems = load.Problems.ToList();
        JsonElement[] replicas = [];
        try
        {
            // Gateways hear of their replicas once a second.
            await cluster.UntilAsync(async () =>
            {
                replicas = await cluster.SnapshotAsync() is { } snapshot ? [.. snapshot.GetProperty("replicas").EnumerateArray()] : [];
                return replicas.Length > 0 && Sum(replicas, "kv_blocks_used") + Sum(replicas, "running") + Sum(replicas, "waiting") == 0;
            }, TimeSpan.FromSeconds(15), "idle cluster after the streams ended");
        }
        catch (TimeoutException error)
        {
            problems.Add(error.Message.Split('\n')[0]);
        }

        return new ChaosReport
        {
            Fault = fault,
            Faults = faults,
            Completed = load.Completed,
            Failed = load.Failed,
            Different = load.Different,
            Resumptions = load.Resumptions,
            Pauses = pauses,
            StaleFrames = await StaleFramesAsync(cluster),
            KvBlocksUsed = Sum(replicas, "kv_blocks_used"),
            Running = Sum(replicas, "running"),
            Waiting = Sum(replicas, "waiting"),
            Notes = notes,
            Problems = problems,
        };
    }

    /// <summary>The table.</summary>
    public static string Table(IEnumerable<ChaosReport> reports) => string.Join('\n', [
        "| fault | times | streams completed | failed | text differs | resumed | pause p50 | pause max | stale frames refused | KV blocks held | running | waiting |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        .. reports.Select(report => string.Create(CultureInfo.InvariantCulture,
            $"| {report.Fault} | {report.Faults} | {report.Completed} | {report.Failed} | {report.Different} | {report.Resumptions} | {report.MedianPause.TotalSeconds:0.00} s | {report.LongestPause.TotalSeconds:0.00} s | {report.StaleFrames} | {report.KvBlocksUsed} | {report.Running} | {report.Waiting} |")),
    ]);

    private static async Task<long> StaleFramesAsync(ChaosCluster cluster) => await cluster.SnapshotAsync() is { } snapshot
        ? snapshot.GetProperty("stale_frames").GetInt64()
        : 0;

    private static int Sum(JsonElement[] replicas, string property) => replicas.Sum(replica => replica.GetProperty(property).GetInt32());

    private TimeSpan At(double share)
    {
        if (Pauses.Count == 0)
            return TimeSpan.Zero;
        TimeSpan[] sorted = [.. Pauses.Order()];
        return sorted[(int)Math.Round(share * (sorted.Length - 1))];
    }
}
