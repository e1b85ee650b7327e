using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>What the planner must know of a model.</summary>
/// <param name="LayerBytes">Weight bytes of each layer.</param>
/// <param name="EmbeddingBytes">Weight bytes of the token embedding.</param>
/// <param name="HeadBytes">Weight bytes of the final norm and the output head, as they take memory on a slice that lacks the embedding.</param>
/// <param name="TiedHead">Whether head and embedding are one tensor: a slice with both holds it once.</param>
/// <param name="KvBytesPerTokenPerLayer">Bytes that one cached position takes in one layer.</param>
/// <param name="ActivationBytesPerToken">Bytes of one row of the residual stream between stages.</param>
/// <param name="ContextLength">Positions of the longest sequence.</param>
public sealed record ModelProfile(
    IReadOnlyList<long> LayerBytes, long EmbeddingBytes, long HeadBytes, bool TiedHead, long KvBytesPerTokenPerLayer,
    long ActivationBytesPerToken, int ContextLength);

/// <summary>A device that can hold a slice.</summary>
/// <param name="Node">The node it is on, as the cluster names it.</param>
/// <param name="Index">Its number on that node.</param>
/// <param name="Name">Its name for people.</param>
/// <param name="MemoryBytes">Bytes that a slice may use, weights and KV cache together.</param>
/// <param name="BytesPerSecond">Measured rate at which it reads weights; only ratios between devices matter for the plan.</param>
public sealed record PlannerDevice(string Node, int Index, string Name, long MemoryBytes, double BytesPerSecond);

/// <summary>What the operator asks of a plan.</summary>
/// <param name="MinKvTokens">Cached positions a replica must hold at least: a plan with fewer is refused.</param>
/// <param name="MaxKvTokens">Cached positions a replica needs at most.</param>
/// <param name="StagesPerReplica">Exactly so many stages a replica; null lets the planner choose.</param>
/// <param name="MaxReplicas">Most replicas; null as many as fit.</param>
public sealed record PlannerOptions(int MinKvTokens, int MaxKvTokens, int? StagesPerReplica = null, int? MaxReplicas = null);

/// <summary>One stage of a planned replica.</summary>
/// <param name="Node">The node.</param>
/// <param name="DeviceIndex">The device on that node.</param>
/// <param name="Slice">The part of the model it holds.</param>
/// <param name="WeightBytes">Bytes of its weights.</param>
/// <param name="KvBytes">Bytes of its KV cache.</param>
public sealed record PlannedStage(string Node, int DeviceIndex, SliceRange Slice, long WeightBytes, long KvBytes);

/// <summary>One planned pipeline.</summary>
/// <param name="Stages">Its stages, first to last.</param>
/// <param name="KvBlocks">KV blocks, the same number on every stage.</param>
/// <param name="PredictedTokensPerSecond">Decode rate with the pipeline full, from the devices' read rates.</param>
public sealed record PlannedReplica(IReadOnlyList<PlannedStage> Stages, int KvBlocks, double PredictedTokensPerSecond);

/// <summary>What the planner decided, and why.</summary>
/// <param name="Replicas">The pipelines; empty when the model does not fit.</param>
/// <param name="Reasons">Each decision in a sentence with its numbers; the first one says why nothing fits, when nothing does.</param>
public sealed record ClusterPlan(IReadOnlyList<PlannedReplica> Replicas, IReadOnlyList<string> Reasons);
