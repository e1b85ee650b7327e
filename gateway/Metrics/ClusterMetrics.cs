using System.Globalization;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>The cluster's picture in Prometheus' text format.</summary>
internal static class ClusterMetrics
{
    private static readonly (string Name, string Help, Func<ReplicaSnapshot, double> Value)[] ReplicaGauges =
    [
        ("replica_active", "Whether the pipeline serves.", replica => replica.State == "active" ? 1 : 0),
        ("replica_epoch", "The pipeline's epoch; every new plan has a larger one.", replica => replica.Epoch),
        ("replica_stages", "Stages of the pipeline.", replica => replica.Stages.Count),
        ("replica_running", "Requests that the pipeline computes.", replica => replica.Running),
        ("replica_waiting", "Requests in the pipeline's queue.", replica => replica.Waiting),
        ("replica_kv_blocks", "Blocks of the pipeline's KV cache.", replica => replica.KvBlocks),
        ("replica_kv_blocks_used", "Blocks that running requests hold.", replica => replica.KvBlocksUsed),
        ("replica_rows_replayed", "Rows that were sent through the pipeline again, after losses or when blocks had run out.", replica => replica.RowsReplayed),
        ("replica_tokens_per_second", "Tokens a second over the last seconds.", replica => replica.TokensPerSecond),
    ];

    /// <summary>Writes the gauges of a snapshot.</summary>
    public static string Export(ClusterSnapshot snapshot)
    {
        var output = new StringWriter(CultureInfo.InvariantCulture);
        Write(output, "ready", "Whether a pipeline can serve.", [("", snapshot.Ready ? 1 : 0)]);
        Write(output, "nodes", "Members of the cluster, by their status.", snapshot.Nodes
            .GroupBy(node => node.Status)
            .Select(group => (Labels("status", group.Key), (double)group.Count())));
        Write(output, "stale_frames", "Frames and commands of epochs that were over, refused by the nodes that are there.", [("", snapshot.StaleFrames)]);
        NodeSnapshot[] stages = [.. snapshot.Nodes.Where(node => node.Devices.Count > 0)];
        Write(output, "node_rows_computed", "Rows that the node's stages have computed.", stages.Select(node => (Labels("node", node.Address), (double)node.RowsComputed)));
        Write(output, "node_rows_reused", "Rows that came to the node's stages again, after a loss or of a prompt that was cached to its end, and that they still held.", stages.Select(node => (Labels("node", node.Address), (double)node.RowsReused)));
        foreach (var (name, help, value) in ReplicaGauges)
            Write(output, name, help, snapshot.Replicas.Select(replica => (Labels("replica", replica.Id), value(replica))));
        return output.ToString();
    }

    private static void Write(TextWriter output, string name, string help, IEnumerable<(string Labels, double Value)> series)
    {
        output.Write($"# HELP llama3cluster_{name} {help}\n# TYPE llama3cluster_{name} gauge\n");
        foreach (var (labels, value) in series)
            output.Write($"llama3cluster_{name}{labels} {MetricSeries.Number(value)}\n");
    }

    private static string Labels(string name, string value) => $"{{{MetricFamily.Labels([new(name, value)])}}}";
}
