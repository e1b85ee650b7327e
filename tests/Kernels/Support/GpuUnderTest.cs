using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>The GPUs, and OpenCL devices of any kind, that this machine has. Their contexts live as long as the tests, so that each kernel is compiled once.</summary>
internal static class GpuUnderTest
{
    /// <summary>One context a device; none where there is no driver.</summary>
    public static IReadOnlyList<GpuContext> Contexts { get; } = Open();

    private static GpuContext[] Open()
    {
        IReadOnlyList<GpuInfo> devices = GpuDiscovery.List();
        Console.WriteLine(devices.Count == 0
            ? "no OpenCL or CUDA device here: the GPU kernels are left out (tests/opencl/setup installs OpenCL for the CPU)"
            : $"GPU kernels run on {string.Join(", ", devices.Select(device => $"{device.Id} ({device.Name})"))}");
        return [.. devices.Select(device => new GpuContext(device))];
    }
}
