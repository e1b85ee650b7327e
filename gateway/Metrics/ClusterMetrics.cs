using System.Globalization;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>The cluster's picture in Prometheus' text format.</summary>
internal static class ClusterMetrics
{
    /// <summary>Writes the gauges of a snapshot.</summary>
    public static string Export(ClusterSnapshot snapshot)
    {
        var output = new StringWriter(CultureInfo.InvariantCulture);
        Write(output, "ready", "Whether a pipeline can serve.", [("", snapshot.Ready ? 1 : 0)]);
        Write(output, "nodes", "Members of the cluster, by their status.", snapshot.Nodes
            .GroupBy(node => node.Status)
            .Select(group => (Labels("status", group.Key), (double)group.Count())));
        WriteReplicas(output, snapshot, "replica_active", "Whether the pipeline serves.", replica => replica.State == "active" ? 1 : 0);
        WriteReplicas(output, snapshot, "replica_epoch", "Times that the pipeline was planned.", replica => replica.Epoch);
        WriteReplicas(output, snapshot, "replica_stages", "Stages of the pipeline.", replica => replica.Stages.Count);
        WriteReplicas(output, snapshot, "replica_running", "Requests that the pipeline computes.", replica => replica.Running);
        WriteReplicas(output, snapshot, "replica_waiting", "Requests in the pipeline's queue.", replica => replica.Waiting);
        WriteReplicas(output, snapshot, "replica_kv_blocks", "Blocks of the pipeline's KV cache.", replica => replica.KvBlocks);
        WriteReplicas(output, snapshot, "replica_kv_blocks_used", "Blocks that running requests hold.", replica => replica.KvBlocksUsed);
        WriteReplicas(output, snapshot, "replica_tokens_per_second", "Tokens a second over the last seconds.", replica => replica.TokensPerSecond);
        return output.ToString();
    }

    private static void WriteReplicas(
        TextWriter output, ClusterSnapshot snapshot, string name, string help, Func<ReplicaSnapshot, double> value) =>
        Write(output, name, help, snapshot.Replicas.Select(replica => (Labels("replica", replica.Id), value(replica))));

    private static void Write(TextWriter output, string name, string help, IEnumerable<(string Labels, double Value)> series)
    {
        output.Write($"# HELP llama3cluster_{name} {help}\n# TYPE llama3cluster_{name} gauge\n");
        foreach (var (labels, value) in series)
            output.Write($"llama3cluster_{name}{labels} {MetricSeries.Number(value)}\n");
    }

    private static string Labels(string name, string value) => $"{{{MetricFamily.Labels([new(name, value)])}}}";
}
