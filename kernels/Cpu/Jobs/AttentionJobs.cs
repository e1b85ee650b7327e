using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Attention with enough tiles for every thread; a chunk is one tile on one KV head, all its spans in order.</summary>
internal unsafe struct AttentionJob<TS, TV, TKv> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TKv : struct, IKvLoader
{
    public AttentionPlan Plan;
    public byte* Scratches;

    public static long ScratchBytes(in AttentionPlan plan) => Scratch.RoundUp(sizeof(float)
        * (AttentionSpan<TS, TV, TKv>.ScratchFloats(plan) + (2 * AttentionStates<TS, TV>.Floats(plan))));

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        AttentionTile tile = plan.Tiles[chunk / plan.KvHeads];
        int kvHead = chunk % plan.KvHeads;
        var states = (float*)(Scratches + (worker * ScratchBytes(plan)));
        float* later = states + AttentionStates<TS, TV>.Floats(plan), scratch = later + AttentionStates<TS, TV>.Floats(plan);
        var work = new AttentionSpan<TS, TV, TKv>(plan, tile, kvHead, scratch);

        work.Gather(0, states);
        for (int span = 1; span < tile.Spans; span++)
        {
            work.Gather(span, later);
            AttentionStates<TS, TV>.Merge(plan, tile, span, states, later);
        }

        AttentionStates<TS, TV>.Finish(plan, tile, kvHead, states);
    }
}

/// <summary>Attention with few tiles and long contexts; a chunk is one span of one tile on one KV head.</summary>
internal unsafe struct AttentionSpanJob<TS, TV, TKv> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TKv : struct, IKvLoader
{
    public AttentionPlan Plan;
    public SpanTable Spans;
    public byte* Scratches;

    public static long ScratchBytes(in AttentionPlan plan) =>
        Scratch.RoundUp(sizeof(float) * AttentionSpan<TS, TV, TKv>.ScratchFloats(plan));

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        int kvHead = chunk % plan.KvHeads;
        (int index, int span) = Spans.At(chunk / plan.KvHeads);
        AttentionTile tile = plan.Tiles[index];
        var scratch = (float*)(Scratches + (worker * ScratchBytes(plan)));
        new AttentionSpan<TS, TV, TKv>(plan, tile, kvHead, scratch)
            .Gather(span, Spans.States<TS, TV>(plan, index, span, kvHead));
    }
}

/// <summary>Merges what <see cref="AttentionSpanJob{TS, TV, TKv}"/> gathered; a chunk is one tile on one KV head.</summary>
internal unsafe struct AttentionMergeJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public AttentionPlan Plan;
    public SpanTable Spans;

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        int index = chunk / plan.KvHeads, kvHead = chunk % plan.KvHeads;
        AttentionTile tile = plan.Tiles[index];
        float* states = Spans.States<TS, TV>(plan, index, 0, kvHead);
        for (int span = 1; span < tile.Spans; span++)
            AttentionStates<TS, TV>.Merge(plan, tile, span, states, Spans.States<TS, TV>(plan, index, span, kvHead));
        AttentionStates<TS, TV>.Finish(plan, tile, kvHead, states);
    }
}
