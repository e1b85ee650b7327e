using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Attention with enough tiles for every thread; a chunk is one tile on one KV head, all its spans in order.</summary>
internal unsafe struct AttentionJob<TS, TV, TL> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TL : struct, IElementLoader
{
    public AttentionPlan Plan;
    public byte* Scratches;

    public static long ScratchBytes(in AttentionPlan plan) => Scratch.RoundUp(sizeof(float)
        * (AttentionSpan<TS, TV, TL>.ScratchFloats(plan) + (2 * AttentionStates<TS, TV>.Floats(plan))));

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        AttentionTile tile = plan.Tiles[chunk / plan.KvHeads];
        int kvHead = chunk % plan.KvHeads;
        var scratch = (float*)(Scratches + (worker * ScratchBytes(plan)));
        float* states = scratch + AttentionSpan<TS, TV, TL>.ScratchFloats(plan), later = states + AttentionStates<TS, TV>.Floats(plan);
        var work = new AttentionSpan<TS, TV, TL>(&plan, tile, kvHead, scratch);

        work.Gather(0, states);
        for (int span = 1; span <= AttentionPlan.SpanOf(plan.LastPosition(tile)); span++)
        {
            work.Gather(span, later);
            AttentionStates<TS, TV>.Merge(plan, tile, span, states, later);
        }

        AttentionStates<TS, TV>.Finish(plan, tile, kvHead, states);
    }
}

/// <summary>Attention with few tiles and long contexts; a chunk is one span of one tile on one KV head.</summary>
internal unsafe struct AttentionSpanJob<TS, TV, TL> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TL : struct, IElementLoader
{
    public AttentionPlan Plan;
    public float* States;
    public byte* Scratches;

    public static long ScratchBytes(in AttentionPlan plan) =>
        Scratch.RoundUp(sizeof(float) * AttentionSpan<TS, TV, TL>.ScratchFloats(plan));

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        int span = chunk % plan.MostSpans, head = chunk / plan.MostSpans;
        AttentionTile tile = plan.Tiles[head / plan.KvHeads];
        if (span > AttentionPlan.SpanOf(plan.LastPosition(tile)))
            return;
        var scratch = (float*)(Scratches + (worker * ScratchBytes(plan)));
        new AttentionSpan<TS, TV, TL>(&plan, tile, head % plan.KvHeads, scratch)
            .Gather(span, States + (chunk * AttentionStates<TS, TV>.Floats(plan)));
    }
}

/// <summary>Merges what <see cref="AttentionSpanJob{TS, TV, TL}"/> gathered; a chunk is one tile on one KV head.</summary>
internal unsafe struct AttentionMergeJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public AttentionPlan Plan;
    public float* States;

    public readonly void Run(int chunk, int worker)
    {
        AttentionPlan plan = Plan;
        AttentionTile tile = plan.Tiles[chunk / plan.KvHeads];
        long spanFloats = AttentionStates<TS, TV>.Floats(plan);
        float* states = States + (chunk * plan.MostSpans * spanFloats);
        for (int span = 1; span <= AttentionPlan.SpanOf(plan.LastPosition(tile)); span++)
            AttentionStates<TS, TV>.Merge(plan, tile, span, states, states + (span * spanFloats));
        AttentionStates<TS, TV>.Finish(plan, tile, chunk % plan.KvHeads, states);
    }
}
