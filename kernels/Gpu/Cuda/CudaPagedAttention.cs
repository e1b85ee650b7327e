using System.Numerics;
using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Cuda.Attention;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Gpu.Operations;

namespace Llama3Cluster.Kernels.Gpu.Cuda;

/// <summary>
/// Attention on tensor cores, over half-precision and bfloat16 caches with heads of 64 or 128 elements; others are left to the portable
/// kernels. Where tiles alone do not fill the device, each warp takes one span of the context; the bits are the same.
/// </summary>
internal sealed class CudaPagedAttention(GpuQueue queue, IAttentionOperation portable) : IAttentionOperation
{
    /// <summary>Bytes for the states of spans that are computed apart.</summary>
    public const long PartialBytes = 32L << 20;

    // So many warps a multiprocessor hide what memory makes them wait.
    private const int WarpsPerMultiprocessor = 8;
    private const int WarpsPerGroup = CudaAttention.Threads / 32;

    private readonly GpuBuffer _partials = new(queue, PartialBytes, "attention over long contexts");

    /// <summary>Spans of so long a context, up to a power of two: launches that are recorded stay valid for a while.</summary>
    public static int SpansFor(int context) =>
        (int)BitOperations.RoundUpToPowerOf2((uint)((context + AttentionWork.SpanLength - 1) / AttentionWork.SpanLength));

    /// <summary>Once a cache had to be left to the portable kernels.</summary>
    public bool DependsOnContext { get; private set; }

    /// <inheritdoc/>
    public void Run(GpuQueue queue, GpuTensor query, GpuKvCache cache, int layer, GpuBatch batch, GpuTensor output)
    {
        KvShape shape = cache.Shape;
        int heads = query.Columns / shape.HeadDim, group = heads / shape.KvHeads, rows = batch.RowCount;
        if (!CudaKernels.HasAttention(shape.Format, shape.HeadDim) || group > AttentionWork.Queries)
        {
            DependsOnContext = true;
            portable.Run(queue, query, cache, layer, batch, output);
            return;
        }

        batch.CutTiles(AttentionWork.Queries / group);
        int spans = SpansFor(batch.LongestContext), warps = batch.TileCount * shape.KvHeads;
        bool split = spans > 1 && warps < WarpsPerMultiprocessor * queue.Context.Info.Multiprocessors
            && (long)rows * heads * spans * (shape.HeadDim + 4) * sizeof(float) <= PartialBytes;
        var (positions, rowSequences, sequences, blocks, tiles) = batch.Addresses();
        var (keys, values) = cache.Addresses(layer);
        var args = new CudaAttentionArgs
        {
            Positions = positions,
            RowSequences = rowSequences,
            Sequences = sequences,
            Blocks = blocks,
            Tiles = tiles,
            Query = query.Buffer.Address,
            Keys = keys,
            Values = values,
            Output = output.Buffer.Address,
            Partials = _partials.Address,
            QueryStride = query.Stride,
            OutputStride = output.Stride,
            Heads = heads,
            KvHeads = shape.KvHeads,
            TileCount = batch.TileCount,
            Spans = spans,
            Split = split ? 1 : 0,
            Scale = MathF.Log2(MathF.E) / MathF.Sqrt(shape.HeadDim),
        };
        int items = warps * (split ? spans : 1);
        queue.Launch(CudaKernels.Attention(shape.Format, shape.HeadDim), new Index3D((items + WarpsPerGroup - 1) / WarpsPerGroup, 1, 1), args);
        if (split)
            queue.Launch(CudaKernels.Merge(shape.HeadDim), new Index3D(heads, rows, 1), args);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _partials.Dispose();
        portable.Dispose();
    }
}
