using Llama3Cluster.Kernels.Cpu;

namespace Llama3Cluster.Gateway.Local;

/// <summary>Which devices a command computes on.</summary>
/// <param name="Name">What <see cref="Devices.Names"/> says.</param>
/// <param name="Threads">Threads of each CPU device; null for an equal share of the cores.</param>
/// <param name="Repack">Whether CPU devices keep weights rearranged.</param>
internal sealed record DeviceChoice(string Name, int? Threads = null, Repack Repack = Repack.Auto)
{
    /// <summary>Threads of each of so many CPU devices.</summary>
    public int ThreadsOf(int devices) => Threads ?? Math.Max(1, Environment.ProcessorCount / Math.Max(devices, 1));
}
