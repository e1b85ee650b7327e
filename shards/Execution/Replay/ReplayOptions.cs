namespace Llama3Cluster.Shards.Execution.Replay;

/// <summary>
/// How a stage spares computing rows again that it still holds from an earlier epoch. What a run measures must be computed, so only
/// stages of a cluster have it.
/// </summary>
/// <param name="LogBytes">Most bytes of outputs that the stage keeps for the next one; never more than all KV blocks need.</param>
/// <param name="Format">The form in which the outputs travel; in another form, none are kept.</param>
public sealed record ReplayOptions(long LogBytes, ActivationFormat Format);
