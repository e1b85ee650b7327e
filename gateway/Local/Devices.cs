using System.Globalization;
using Llama3Cluster.Gateway.Cli;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Gateway.Local;

/// <summary>Makes the devices that options name.</summary>
internal static class Devices
{
    public const string Names = "auto|cpu|reference";

    /// <summary>Makes one device.</summary>
    /// <param name="name"><c>auto</c> and <c>cpu</c>: vectors on this machine's cores; <c>reference</c>: the scalar specification.</param>
    /// <param name="threads">Threads of a CPU device.</param>
    /// <param name="repack">Whether a CPU device keeps weights rearranged.</param>
    public static ComputeDevice Create(string name, int threads, Repack repack) => name switch
    {
        "auto" or "cpu" => new CpuDevice(threads, repack),
        "reference" => new ReferenceDevice(),
        _ => throw new UsageException($"--device takes {Names}, not \"{name}\""),
    };

    /// <summary>Memory that slices may use on this machine in all, if nothing is said: four fifths of what it has.</summary>
    public static long DefaultMemory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 5 * 4;

    /// <summary>
    /// What a CPU device of so many threads is taken to read a second. The planner needs ratios between devices only; machines
    /// that differ otherwise can be told apart by their memory.
    /// </summary>
    public static double NominalBytesPerSecond(int threads) => 10e9 * threads;

    /// <summary>Describes memory for people.</summary>
    public static string Describe(ComputeDevice device, long memory) =>
        string.Create(CultureInfo.InvariantCulture, $"{device.Name}, {ByteSize.Format(memory)}");
}
