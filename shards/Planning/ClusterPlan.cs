using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>What the planner decided, and why.</summary>
/// <param name="Replicas">The pipelines; empty when the model does not fit.</param>
/// <param name="Reasons">Each decision in a sentence with its numbers; the first one says why nothing fits, when nothing does.</param>
public sealed record ClusterPlan(IReadOnlyList<PlannedReplica> Replicas, IReadOnlyList<string> Reasons);

/// <summary>One planned pipeline.</summary>
/// <param name="Stages">Its stages, first to last.</param>
/// <param name="KvBlocks">KV blocks, the same number on every stage.</param>
/// <param name="PredictedTokensPerSecond">
/// Decode rate with the pipeline full, from the devices' read rates: the slowest stage reads its weights once a token, while every
/// other stage works on another sequence, or waits for slow links. The reading of the KV cache is not in it, nor are batches of more than
/// one row.
/// </param>
public sealed record PlannedReplica(IReadOnlyList<PlannedStage> Stages, int KvBlocks, double PredictedTokensPerSecond);

/// <summary>One stage of a planned replica.</summary>
/// <param name="Node">The node.</param>
/// <param name="DeviceIndex">The device on that node.</param>
/// <param name="Slice">The part of the model it holds.</param>
/// <param name="WeightBytes">Bytes of its weights.</param>
/// <param name="KvBytes">Bytes of its KV cache.</param>
public sealed record PlannedStage(string Node, int DeviceIndex, SliceRange Slice, long WeightBytes, long KvBytes)
{
    /// <summary>
    /// Seconds of one decode step: the time to read the weights that a step reads, once. Of an embedding a step reads a row, so
    /// it counts nothing.
    /// </summary>
    public double StepSeconds { get; init; }

    /// <summary>Bytes of activations, logits and tables, where they are counted: on GPUs.</summary>
    public long BufferBytes { get; init; }
}
