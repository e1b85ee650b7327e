namespace Llama3Cluster.Shards.Planning;

/// <summary>What the operator asks of a plan.</summary>
/// <param name="MinKvTokens">Cached positions a replica must hold at least: a plan with fewer is refused.</param>
/// <param name="MaxKvTokens">Cached positions a replica needs at most; rounded up to whole blocks.</param>
/// <param name="StagesPerReplica">Exactly so many stages a replica; null lets the planner choose.</param>
/// <param name="MaxReplicas">Most replicas; null as many as fit.</param>
public sealed record PlannerOptions(int MinKvTokens, int MaxKvTokens, int? StagesPerReplica = null, int? MaxReplicas = null);
