namespace Llama3Cluster.Kernels.Devices;

/// <summary>How a device keeps what slices put on it, which decides how many bytes that takes.</summary>
public enum DeviceKind : byte
{
    /// <summary>The host's memory: weights stay in their mapped file, and buffers are small beside what is left free.</summary>
    Host,

    /// <summary>A GPU's memory, through OpenCL.</summary>
    OpenCl,

    /// <summary>A GPU's memory, through CUDA.</summary>
    Cuda,

    /// <summary>As <see cref="Cuda"/>, with weights and activations once more as tensor cores take them.</summary>
    CudaTensorCores,
}
