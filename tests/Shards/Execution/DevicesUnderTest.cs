using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Kernels.Reference;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>The devices of a pipeline by name, such as <c>cpu</c> or <c>opencl:0+cpu</c>: one after the other, each for as many stages.</summary>
internal sealed class DevicesUnderTest(string names) : IDisposable
{
    // Kernels are compiled once for all tests.
    private static readonly Dictionary<string, GpuContext> Contexts = GpuDiscovery.List().ToDictionary(gpu => gpu.Id, gpu => new GpuContext(gpu));

    private readonly ComputeDevice[] _devices = [.. names.Split('+').Select(Create)];

    /// <summary>The GPUs, and OpenCL devices of any kind, of this machine; none where there is no driver.</summary>
    public static IEnumerable<string> Gpus => Contexts.Keys;

    /// <summary>The device of one of so many stages.</summary>
    public ComputeDevice Of(int stage, int stages) => _devices[stage * _devices.Length / stages];

    public void Dispose()
    {
        foreach (ComputeDevice device in _devices)
            device.Dispose();
    }

    private static ComputeDevice Create(string name) => name switch
    {
        "cpu" => new CpuDevice(2),
        "reference" => new ReferenceDevice(),
        _ => new GpuDevice(Contexts[name]),
    };
}
