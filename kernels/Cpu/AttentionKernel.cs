using Llama3Cluster.Kernels.Cpu.Jobs;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Cuts attention into tiles of rows, KV heads and, where that keeps a thread too long, spans of the context.</summary>
internal sealed unsafe class AttentionKernel<TS, TV>(WorkerPool pool) : IDisposable
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Rows of a tile share each converted panel of keys and values: the more, the less a conversion costs, and the fewer tiles there are.
    private const int MostTileRows = 32;
    private const int LeastTileRows = 4;

    // With fewer chunks a thread, threads would wait for each other.
    private const int LeastChunksPerThread = 4;

    private readonly Scratch _tiles = new();
    private readonly Scratch _spans = new();
    private readonly Scratch _states = new();
    private readonly Scratch _workers = new();

    /// <summary>See <see cref="ComputeDevice.PagedAttention"/>.</summary>
    public void Run(HostTensor query, HostKvCache cache, int layer, RaggedBatch batch, HostTensor output)
    {
        KvShape shape = cache.Shape;
        fixed (int* blocks = batch.Blocks)
        fixed (BatchSequence* sequences = batch.Sequences)
        {
            int width = PanelProduct<TS, TV>.Width;
            var plan = new AttentionPlan
            {
                Query = query.Data,
                Output = output.Data,
                Heads = query.Columns / shape.HeadDim,
                KvHeads = shape.KvHeads,
                HeadDim = shape.HeadDim,
                PaddedHeadDim = (shape.HeadDim + width - 1) / width * width,
                Kv = new KvView(cache, layer),
                Sequences = sequences,
                Blocks = blocks,
            };
            ReadOnlySpan<AttentionTile> tiles = CutTiles(batch, ref plan);
            switch (shape.Format)
            {
                case KvFormat.F32:
                    Run<PlainKvLoader<F32Loader>>(plan, tiles);
                    break;
                case KvFormat.F16 when !*cache.MayHoldSpecials:
                    Run<PlainKvLoader<FiniteHalfLoader>>(plan, tiles);
                    break;
                case KvFormat.F16:
                    Run<PlainKvLoader<F16Loader>>(plan, tiles);
                    break;
                case KvFormat.BF16:
                    Run<PlainKvLoader<Bf16Loader>>(plan, tiles);
                    break;
                default:
                    Run<Q8KvLoader>(plan, tiles);
                    break;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tiles.Dispose();
        _spans.Dispose();
        _states.Dispose();
        _workers.Dispose();
    }

    private void Run<TKv>(AttentionPlan plan, ReadOnlySpan<AttentionTile> tiles)
        where TKv : struct, IKvLoader
    {
        int spans = 0, mostSpans = 0;
        foreach (AttentionTile tile in tiles)
        {
            spans += tile.Spans;
            mostSpans = Math.Max(mostSpans, tile.Spans);
        }

        int chunks = tiles.Length * plan.KvHeads;
        if (mostSpans == 1 || (long)spans * plan.KvHeads >= (long)LeastChunksPerThread * pool.Threads * mostSpans)
        {
            var job = new AttentionJob<TS, TV, TKv>
            {
                Plan = plan,
                Scratches = _workers.Take(pool.Threads * AttentionJob<TS, TV, TKv>.ScratchBytes(plan)),
            };
            pool.Run(&job, chunks);
            return;
        }

        SpanTable table = SpanTable.Create<TS, TV>(plan, tiles.Length, spans, _spans, _states);
        var gather = new AttentionSpanJob<TS, TV, TKv>
        {
            Plan = plan,
            Spans = table,
            Scratches = _workers.Take(pool.Threads * AttentionSpanJob<TS, TV, TKv>.ScratchBytes(plan)),
        };
        pool.Run(&gather, spans * plan.KvHeads);
        var merge = new AttentionMergeJob<TS, TV> { Plan = plan, Spans = table };
        pool.Run(&merge, chunks);
    }

    private ReadOnlySpan<AttentionTile> CutTiles(RaggedBatch batch, ref AttentionPlan plan)
    {
        int tileRows = MostTileRows;
        while (tileRows > LeastTileRows && batch.RowCount / tileRows * plan.KvHeads < LeastChunksPerThread * pool.Threads)
            tileRows /= 2;

        plan.Tiles = (AttentionTile*)_tiles.Take((long)batch.RowCount * sizeof(AttentionTile));
        int count = 0;
        for (int s = 0; s < batch.SequenceCount; s++)
        {
            BatchSequence sequence = batch.Sequences[s];
            for (int done = 0; done < sequence.RowCount; done += tileRows)
            {
                int rows = Math.Min(tileRows, sequence.RowCount - done);
                plan.Tiles[count++] = new AttentionTile(s, sequence.FirstRow + done, rows, sequence.FirstPosition + done);
                plan.LargestTile = Math.Max(plan.LargestTile, rows);
            }
        }

        // The longest first, so that the last to end are short.
        var tiles = new Span<AttentionTile>(plan.Tiles, count);
        tiles.Sort(static (a, b) => b.Cost.CompareTo(a.Cost));
        return tiles;
    }
}
