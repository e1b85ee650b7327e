using ILGPU;
using Llama3Cluster.Kernels.Gpu.Kernels;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Operations;

/// <summary>
/// Launches the portable attention kernels. Where there are too few tiles to fill the device, as when decoding, each group takes one span of
/// the context and a second kernel merges; the bits are the same either way.
/// </summary>
internal sealed class PortableAttention(GpuQueue queue) : IAttentionOperation
{
    // The states of the spans of 64 rows with 32 heads of 128 over 8,192 positions, about.
    internal const long PartialBytes = 32L << 20;

    // Fewer groups than so many a multiprocessor leave it waiting for memory.
    private const int GroupsPerMultiprocessor = 4;

    private readonly GpuBuffer _partials = new(queue, PartialBytes, "attention over long contexts");

    /// <inheritdoc/>
    public bool DependsOnContext => true;

    /// <inheritdoc/>
    public void Run(GpuQueue queue, GpuTensor query, GpuKvCache cache, int layer, GpuBatch batch, GpuTensor output)
    {
        int heads = query.Columns / cache.Shape.HeadDim, group = heads / cache.Shape.KvHeads, rows = batch.RowCount;
        int width = Math.Min(group, AttentionTile.Most), headParts = (group + width - 1) / width;

        // A single row's heads may fill a smaller tile; prompts take the largest.
        bool single = batch.Batch.SequenceCount == rows;
        (KernelEntry<AttentionArgs> entry, int size) = AttentionKernels.For(cache.Shape.Format, single ? width : AttentionTile.Most);
        batch.CutTiles(single ? 1 : size / width);

        int spans = (batch.LongestContext + AttentionSpan.Length - 1) / AttentionSpan.Length, groups = batch.TileCount * cache.Shape.KvHeads * headParts;
        bool split = spans > 1 && groups < GroupsPerMultiprocessor * queue.Context.Info.Multiprocessors
            && (long)rows * heads * spans * (cache.Shape.HeadDim + 2) * sizeof(float) <= PartialBytes;
        var args = new AttentionArgs
        {
            Batch = batch.View(),
            Tiles = batch.Tiles,
            Query = query.Elements,
            QueryStride = query.Stride,
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            Output = output.Elements,
            OutputStride = output.Stride,
            Partials = _partials.View<float>(),
            Heads = heads,
            KvHeads = cache.Shape.KvHeads,
            HeadDim = cache.Shape.HeadDim,
            Chunks = cache.Chunks,
            HeadUnits = cache.HeadUnits,
            TileHeads = width,
            HeadParts = headParts,
            Spans = spans,
            Split = split ? 1 : 0,
            Scale = 1f / MathF.Sqrt(cache.Shape.HeadDim),
        };
        queue.Launch(entry, new Index3D(batch.TileCount, cache.Shape.KvHeads * headParts, split ? spans : 1), args);
        if (split)
            queue.Launch(AttentionKernels.Merge, new Index3D(heads, rows, 1), args);
    }

    /// <inheritdoc/>
    public void Dispose() => _partials.Dispose();
}
