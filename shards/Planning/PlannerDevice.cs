using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>A device that can hold a slice.</summary>
/// <param name="Node">The node it is on, as the cluster names it.</param>
/// <param name="Index">Its number on that node.</param>
/// <param name="Name">Its name for people.</param>
/// <param name="MemoryBytes">Bytes that a slice may use: weights, KV cache and, on a GPU, what it computes in.</param>
/// <param name="BytesPerSecond">Measured rate at which it reads weights; only ratios between devices matter for the plan.</param>
/// <param name="Kind">How it keeps what is put on it.</param>
public sealed record PlannerDevice(
    string Node, int Index, string Name, long MemoryBytes, double BytesPerSecond, DeviceKind Kind = DeviceKind.Host);
