namespace Llama3Cluster.Shards.Planning;

/// <summary>A device that can hold a slice.</summary>
/// <param name="Node">The node it is on, as the cluster names it.</param>
/// <param name="Index">Its number on that node.</param>
/// <param name="Name">Its name for people.</param>
/// <param name="MemoryBytes">Bytes that a slice may use, weights and KV cache together.</param>
/// <param name="BytesPerSecond">Measured rate at which it reads weights; only ratios between devices matter for the plan.</param>
public sealed record PlannerDevice(string Node, int Index, string Name, long MemoryBytes, double BytesPerSecond);
