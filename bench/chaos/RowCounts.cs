using System.Globalization;

namespace Llama3Cluster.Chaos;

/// <summary>Rows that replicas have sent through their pipelines again, and rows that the stages of each node held and did not compute.</summary>
internal sealed record RowCounts(long Replayed, IReadOnlyDictionary<string, long> Reused)
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(2.5);

    public static async Task<RowCounts> OfAsync(ChaosCluster cluster)
    {
        if (await cluster.SnapshotAsync() is not { } snapshot)
            return new RowCounts(0, new Dictionary<string, long>());
        HashSet<string> stages = [.. ChaosCluster.StageNodes(snapshot)];
        return new RowCounts(
            snapshot.GetProperty("replicas").EnumerateArray().Sum(replica => replica.GetProperty("rows_replayed").GetInt64()),
            snapshot.GetProperty("nodes").EnumerateArray()
                .Where(node => stages.Contains(node.GetProperty("address").GetString()!))
                .ToDictionary(node => node.GetProperty("address").GetString()!, node => node.GetProperty("rows_reused").GetInt64()));
    }

    /// <summary>The counts once nothing is replayed any more; gateways hear of them once a second, by way of placement.</summary>
    public static async Task<RowCounts> SettledAsync(ChaosCluster cluster)
    {
        RowCounts now = await OfAsync(cluster);
        for (long replayed = -1; now.Replayed != replayed;)
        {
            replayed = now.Replayed;
            await Task.Delay(Rest);
            now = await OfAsync(cluster);
        }

        return now;
    }

    /// <summary>What has been replayed since; null if nobody was there all the time.</summary>
    public Replay? Until(RowCounts after)
    {
        string[] survivors = [.. Reused.Keys.Intersect(after.Reused.Keys)];
        return survivors.Length == 0
            ? null
            : new Replay(after.Replayed - Replayed, survivors.Length, survivors.Sum(node => after.Reused[node] - Reused[node]));
    }
}

/// <summary>A replay, as the nodes that survived saw it, with a stage each before the loss.</summary>
/// <param name="Rows">Rows that were sent through the pipeline again.</param>
/// <param name="Survivors">Nodes with a stage that were there before and after.</param>
/// <param name="Reused">Rows that their stages held, all together; also those of requests whose prompts were cached to the end.</param>
internal sealed record Replay(long Rows, int Survivors, long Reused)
{
    /// <summary>All replays of a run in a line.</summary>
    public static string Describe(IReadOnlyList<Replay> replays) => string.Create(CultureInfo.InvariantCulture,
        $"{replays.Count} losses: {replays.Sum(each => each.Rows)} rows were replayed, which makes {replays.Sum(each => each.Rows * each.Survivors)} for the stages of survivors; these reused {replays.Sum(each => each.Reused)}, those of cached prompts included");

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Rows} rows replayed; {Survivors} survivors reused {Reused}");
}
