using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Kernels;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>
/// A paged KV cache in device memory: of each layer a buffer of keys and one of values, [block][KV head], laid out as <see cref="IKvFormat"/>
/// says. Buffers by the layer, because OpenCL devices bound the size of one allocation.
/// </summary>
internal sealed class GpuKvCache : KvCache
{
    private const int UnitBytes = 16;

    // Heads are filled up to whole chunks of the widest plain format.
    private const int HeadAlignment = 8;

    private readonly List<GpuBuffer> _buffers = [];

    /// <summary>Allocates a zeroed cache.</summary>
    public GpuKvCache(GpuQueue queue, KvShape shape)
        : base(shape)
    {
        KvShape.Check(shape.Format, shape.HeadDim);
        if (shape.HeadDim > AttentionKernels.MostHeadDim)
            throw new ArgumentException($"heads of {shape.HeadDim} elements are beyond the {AttentionKernels.MostHeadDim} that GPU kernels take; use --device cpu", nameof(shape));
        Chunks = ChunksOf(shape);
        HeadUnits = HeadUnitsOf(shape);
        long bytes = LayerBytes(shape);
        try
        {
            for (int i = 0; i < 2 * shape.Layers; i++)
                _buffers.Add(new GpuBuffer(queue, bytes, $"a layer's {(i % 2 == 0 ? "keys" : "values")} in a KV cache of {shape.Blocks} blocks"));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Chunks of 16 bytes of one vector.</summary>
    public int Chunks { get; }

    /// <summary>Chunks of a block's head, scales included.</summary>
    public int HeadUnits { get; }

    /// <summary>A layer's keys.</summary>
    public ArrayView<U4> Keys(int layer) => _buffers[2 * layer].View<U4>();

    /// <summary>Addresses of a layer's keys and values.</summary>
    public (ulong Keys, ulong Values) Addresses(int layer) => (_buffers[2 * layer].Address, _buffers[(2 * layer) + 1].Address);

    /// <summary>A layer's values.</summary>
    public ArrayView<U4> Values(int layer) => _buffers[(2 * layer) + 1].View<U4>();

    /// <summary>Bytes of a layer's keys, and again of its values.</summary>
    public static long LayerBytes(KvShape shape) => checked((long)shape.Blocks * shape.KvHeads * HeadUnitsOf(shape) * UnitBytes);

    private static int ChunksOf(KvShape shape)
    {
        int padded = (shape.HeadDim + HeadAlignment - 1) / HeadAlignment * HeadAlignment;
        return shape.Format switch
        {
            KvFormat.F32 => padded / 4,
            KvFormat.Q8_0 => shape.HeadDim / 16,
            _ => padded / 8,
        };
    }

    private static int HeadUnitsOf(KvShape shape)
    {
        int scaleUnits = shape.Format == KvFormat.Q8_0 ? shape.HeadDim / KvShape.ScaleGroup * KvShape.BlockSize * sizeof(ushort) / UnitBytes : 0;
        return (KvShape.BlockSize * ChunksOf(shape)) + scaleUnits;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _buffers.ForEach(buffer => buffer.Dispose());
    }
}
