using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>The devices that the conformance and invariance tests run on. A new device joins with one line.</summary>
internal static class DevicesUnderTest
{
    private const int Threads = 2;

    private static readonly Dictionary<string, Func<int, ComputeDevice>> Factories = Enum.GetValues<SimdPath>()
        .Where(SimdPaths.IsSupported)
        .Select(path => ($"cpu {SimdPaths.NameOf(path)}", (Func<int, ComputeDevice>)(threads => new CpuDevice(threads, path))))
        .Concat(GpuUnderTest.Contexts.Select(gpu => (gpu.Info.Id, (Func<int, ComputeDevice>)(_ => new GpuDevice(gpu)))))
        .ToDictionary(pair => pair.Item1, pair => pair.Item2);

    /// <summary>Their names.</summary>
    public static IEnumerable<string> Names => Factories.Keys;

    /// <summary>Makes one. Devices without threads of their own ignore the number.</summary>
    public static ComputeDevice Create(string name, int threads = Threads) => Factories[name](threads);
}

/// <summary>Every device under test: for theories.</summary>
public sealed class EveryDevice : TheoryData<string>
{
    public EveryDevice()
    {
        foreach (string name in DevicesUnderTest.Names)
            Add(name);
    }
}

/// <summary>Every device under test with every value of an enumeration.</summary>
public class EveryDeviceWith<T> : TheoryData<string, T>
    where T : struct, Enum
{
    public EveryDeviceWith()
    {
        foreach (string name in DevicesUnderTest.Names)
        {
            foreach (T value in Enum.GetValues<T>())
                Add(name, value);
        }
    }
}
