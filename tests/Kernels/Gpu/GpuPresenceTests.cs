using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>Says in the list of tests whether GPU kernels are run.</summary>
public class GpuPresenceTests
{
    [GpuTheory]
    [InlineData("opencl")]
    public void A_device_must_be_there_for_the_conformance_suite(string driver) =>
        Assert.Contains(GpuUnderTest.Contexts, context => context.Info.Id.StartsWith(driver, StringComparison.Ordinal) || context.Info.IsGpu);
}
