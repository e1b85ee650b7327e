using System.Globalization;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>By which interface a GPU is driven.</summary>
public enum GpuInterface
{
    /// <summary>NVIDIA's driver.</summary>
    Cuda,

    /// <summary>OpenCL, whoever made the device.</summary>
    OpenCl,
}

/// <summary>A device that the drivers of this machine show.</summary>
/// <param name="Interface">Its driver.</param>
/// <param name="Index">Its number among the devices of that driver.</param>
/// <param name="Name">Its maker's name for it.</param>
/// <param name="MemoryBytes">All of its memory.</param>
/// <param name="Multiprocessors">Its multiprocessors, or compute units.</param>
/// <param name="IsGpu">Whether it is a GPU; OpenCL also drives processors.</param>
/// <param name="BytesPerSecond">The rate at which its memory can be read, as its clock and bus promise; 0 where the driver does not say.</param>
/// <param name="Handle">What tells it from the driver's other devices.</param>
public sealed record GpuInfo(
    GpuInterface Interface, int Index, string Name, long MemoryBytes, int Multiprocessors, bool IsGpu, double BytesPerSecond, nint Handle)
{
    /// <summary>How options name it, such as <c>cuda:0</c>.</summary>
    public string Id => string.Create(CultureInfo.InvariantCulture, $"{(Interface == GpuInterface.Cuda ? "cuda" : "opencl")}:{Index}");
}
