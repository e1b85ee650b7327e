using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Operations;

/// <summary>Products of weights and activations on a device. The device has checked the arguments.</summary>
internal interface ILinearOperation
{
    /// <summary>See <see cref="ComputeDevice.Linear(ReadOnlySpan{LinearTarget}, DeviceTensor, int)"/>.</summary>
    void Run(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, GpuTensor input, int rows);
}

/// <summary>Attention on a device. The device has checked the arguments.</summary>
internal interface IAttentionOperation : IDisposable
{
    /// <summary>See <see cref="ComputeDevice.PagedAttention"/>.</summary>
    void Run(GpuQueue queue, GpuTensor query, GpuKvCache cache, int layer, GpuBatch batch, GpuTensor output);
}

/// <summary>
/// The operations that have more than one implementation, as they are chosen for a device when it is made. An implementation for
/// particular GPUs stands before the portable one and hands on the formats and shapes that it has no kernel for.
/// </summary>
/// <param name="Linear">Products.</param>
/// <param name="Attention">Attention.</param>
internal sealed record GpuOperations(ILinearOperation Linear, IAttentionOperation Attention) : IDisposable
{
    /// <summary>The best operations for a queue's device.</summary>
    public static GpuOperations For(GpuQueue queue) => Portable(queue);

    /// <summary>The operations that run everywhere.</summary>
    public static GpuOperations Portable(GpuQueue queue) => new(new PortableLinear(), new PortableAttention(queue));

    /// <inheritdoc/>
    public void Dispose() => Attention.Dispose();
}
