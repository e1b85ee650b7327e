using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>A theory over this machine's GPUs, and, if it says so, over the shared folder's models; it says where there are none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuTheoryAttribute : TheoryAttribute
{
    public GpuTheoryAttribute(bool shared = false)
    {
        if (!DevicesUnderTest.Gpus.Any())
            Skip = "needs an OpenCL or CUDA device: tests/opencl/run brings OpenCL for the processor";
        else if (shared && SharedModels.Folder is null)
            Skip = "needs the folder \"shared\" beside the repository";
    }
}
