using Llama3Cluster.Kernels.Cpu.Jobs;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Cuts attention into tiles of rows, KV heads and, where those are few, spans of the context.</summary>
internal sealed unsafe class AttentionKernel<TS, TV>(WorkerPool pool) : IDisposable
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // With fewer chunks a thread, threads would wait for each other.
    private const int LeastChunksPerThread = 2;

    private readonly Scratch _tiles = new();
    private readonly Scratch _states = new();
    private readonly Scratch _workers = new();

    /// <summary>See <see cref="ComputeDevice.PagedAttention"/>.</summary>
    public void Run(HostTensor query, HostKvCache cache, int layer, RaggedBatch batch, HostTensor output)
    {
        KvShape shape = cache.Shape;
        fixed (int* positions = batch.Positions, blocks = batch.Blocks)
        fixed (BatchSequence* sequences = batch.Sequences)
        {
            var plan = new AttentionPlan
            {
                Query = query.Data,
                Output = output.Data,
                Heads = query.Columns / shape.HeadDim,
                KvHeads = shape.KvHeads,
                HeadDim = shape.HeadDim,
                PaddedHeadDim = (shape.HeadDim + TS.Count - 1) / TS.Count * TS.Count,
                Kv = new KvView(cache, layer),
                Sequences = sequences,
                Positions = positions,
                Blocks = blocks,
            };
            int chunks = CutTiles(batch, ref plan) * shape.KvHeads;
            bool bySpans = plan.MostSpans > 1 && chunks < LeastChunksPerThread * pool.Threads;
            switch (shape.Format)
            {
                case KvFormat.F32:
                    Run<F32Loader>(plan, chunks, bySpans);
                    break;
                case KvFormat.F16:
                    Run<F16Loader>(plan, chunks, bySpans);
                    break;
                default:
                    Run<Bf16Loader>(plan, chunks, bySpans);
                    break;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tiles.Dispose();
        _states.Dispose();
        _workers.Dispose();
    }

    private void Run<TL>(AttentionPlan plan, int chunks, bool bySpans)
        where TL : struct, IElementLoader
    {
        if (!bySpans)
        {
            var job = new AttentionJob<TS, TV, TL>
            {
                Plan = plan,
                Scratches = _workers.Take(pool.Threads * AttentionJob<TS, TV, TL>.ScratchBytes(plan)),
            };
            pool.Run(&job, chunks);
            return;
        }

        var states = (float*)_states.Take((long)chunks * plan.MostSpans * AttentionStates<TS, TV>.Floats(plan) * sizeof(float));
        var gather = new AttentionSpanJob<TS, TV, TL>
        {
            Plan = plan,
            States = states,
            Scratches = _workers.Take(pool.Threads * AttentionSpanJob<TS, TV, TL>.ScratchBytes(plan)),
        };
        pool.Run(&gather, chunks * plan.MostSpans);
        var merge = new AttentionMergeJob<TS, TV> { Plan = plan, States = states };
        pool.Run(&merge, chunks);
    }

    private int CutTiles(RaggedBatch batch, ref AttentionPlan plan)
    {
        plan.Tiles = (AttentionTile*)_tiles.Take((long)batch.RowCount * sizeof(AttentionTile));
        int tiles = 0;
        for (int s = 0; s < batch.SequenceCount; s++)
        {
            BatchSequence sequence = batch.Sequences[s];
            for (int done = 0; done < sequence.RowCount; done += AttentionPlan.TileRows)
            {
                int rows = Math.Min(AttentionPlan.TileRows, sequence.RowCount - done);
                plan.Tiles[tiles++] = new AttentionTile(s, sequence.FirstRow + done, rows);
                plan.LargestTile = Math.Max(plan.LargestTile, rows);
            }

            plan.MostSpans = Math.Max(plan.MostSpans, AttentionPlan.SpanOf(sequence.FirstPosition + sequence.RowCount - 1) + 1);
        }

        return tiles;
    }
}
