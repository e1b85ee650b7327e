using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>The GPUs, and OpenCL devices of any kind, that this machine has. Their contexts live as long as the tests, so that each kernel is compiled once.</summary>
internal static class GpuUnderTest
{
    /// <summary>One context a device; none where there is no driver.</summary>
    public static IReadOnlyList<GpuContext> Contexts { get; } = [.. GpuDiscovery.List().Select(device => new GpuContext(device))];

    /// <summary>The context of a device by its name.</summary>
    public static GpuContext Get(string id) => Contexts.Single(context => context.Info.Id == id);
}

/// <summary>A theory over this machine's GPUs, which says so where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuTheoryAttribute : TheoryAttribute
{
    public GpuTheoryAttribute()
    {
        if (GpuUnderTest.Contexts.Count == 0)
            Skip = "needs an OpenCL or CUDA device: tests/opencl/run brings OpenCL for the processor";
    }
}
