using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Operations;

/// <summary>Products of weights and activations on a device. The device has checked the arguments.</summary>
internal interface ILinearOperation : IDisposable
{
    /// <summary>Brings a matrix to the device, arranged for these operations and for look-ups as far as it is used for them.</summary>
    GpuMatrix Load(GpuQueue queue, TensorData data, WeightUse use);

    /// <summary>Says that tensors of this size exist, from which inputs will come: memory is taken now, not in the middle of a step.</summary>
    void Reserve(GpuQueue queue, int rows, int columns);

    /// <summary>
    /// Products of an input that is normed or gated on the way, perhaps added to what the outputs hold; false if there is no kernel for it,
    /// and nothing has been done.
    /// </summary>
    bool TryRun(GpuQueue queue, LinearInput input, ReadOnlySpan<LinearTarget> targets, int rows, bool adds);

    /// <summary>See <see cref="ComputeDevice.Linear(ReadOnlySpan{LinearTarget}, DeviceTensor, int)"/>.</summary>
    void Run(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, GpuTensor input, int rows);
}

/// <summary>What is done to the input of products on the way.</summary>
internal enum LinearInputKind
{
    /// <summary>Nothing.</summary>
    Plain,

    /// <summary>RMSNorm; the partner is its gain.</summary>
    Normed,

    /// <summary>silu(input) * partner.</summary>
    Gated,
}

/// <summary>An input of products.</summary>
/// <param name="Kind">What is done to it.</param>
/// <param name="Tensor">The input.</param>
/// <param name="Partner">What goes with it.</param>
/// <param name="Epsilon">The norm's epsilon.</param>
internal readonly record struct LinearInput(LinearInputKind Kind, GpuTensor Tensor, GpuTensor? Partner = null, float Epsilon = 0);

/// <summary>Attention on a device. The device has checked the arguments.</summary>
internal interface IAttentionOperation : IDisposable
{
    /// <summary>Whether launches depend on the exact length of the context, so that decode steps cannot be recorded.</summary>
    bool DependsOnContext { get; }

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
    public static GpuOperations For(GpuQueue queue)
    {
        GpuOperations portable = Portable(queue);
        return queue.Context.HasTensorCores
            ? new GpuOperations(new CudaLinear(portable.Linear), new CudaPagedAttention(queue, portable.Attention))
            : portable;
    }

    /// <summary>The operations that run everywhere.</summary>
    public static GpuOperations Portable(GpuQueue queue) => new(new PortableLinear(), new PortableAttention(queue));

    /// <inheritdoc/>
    public void Dispose()
    {
        Linear.Dispose();
        Attention.Dispose();
    }
}
