using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// What attention has gathered so far for one query (a row's head): the largest score, the sum of the weights relative to it, and the
/// weighted values. In memory: [max, total, 14 unused, values of a padded head].
/// </summary>
internal readonly unsafe struct AttentionState<TS, TV>(float* data, int paddedHeadDim)
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    private const int Head = 16;

    public static int Floats(int paddedHeadDim) => Head + paddedHeadDim;

    /// <summary>The values so far.</summary>
    public float* Values => data + Head;

    private float* Data => data;

    public void Clear()
    {
        data[0] = float.NegativeInfinity;
        data[1] = 0;
        for (int i = 0; i < paddedHeadDim; i += TS.Count)
            TS.Store(Values + i, TS.Splat(0));
    }

    /// <summary>Turns scores into weights, and relates what has been gathered so far to the scores' maximum if that is larger.</summary>
    /// <param name="scores">The scores, one a position; overwritten by the weights. Room for whole vectors.</param>
    /// <param name="count">How many positions, at least one.</param>
    [MethodImpl(Jit.Alone)]
    public void Weigh(float* scores, int count)
    {
        // The last vector's other lanes get the least weight that Exp yields: next to a weight of 1 it adds nothing to the total.
        for (int p = count; p % TS.Count != 0; p++)
            scores[p] = float.NegativeInfinity;
        TV largest = TS.Load(scores);
        for (int p = TS.Count; p < count; p += TS.Count)
            largest = TS.Max(largest, TS.Load(scores + p));
        float max = MathF.Max(data[0], TS.Largest(largest));
        if (max > data[0])
            Relate(max);

        TV sum = TS.Splat(0);
        for (int p = 0; p < count; p += TS.Count)
        {
            TV weights = LaneMath<TS, TV>.Exp(TS.Subtract(TS.Load(scores + p), TS.Splat(max)));
            TS.Store(scores + p, weights);
            sum = TS.Add(sum, weights);
        }

        data[1] += TS.Sum(sum);
    }

    /// <summary>Takes a later span's state in.</summary>
    public void Merge(AttentionState<TS, TV> later)
    {
        float max = MathF.Max(data[0], later.Data[0]);
        float kept = Exp(data[0] - max), added = Exp(later.Data[0] - max);
        data[0] = max;
        data[1] = (data[1] * kept) + (later.Data[1] * added);
        for (int i = 0; i < paddedHeadDim; i += TS.Count)
        {
            TV sum = TS.Multiply(TS.Load(Values + i), TS.Splat(kept));
            TS.Store(Values + i, TS.MultiplyAdd(TS.Load(later.Values + i), TS.Splat(added), sum));
        }
    }

    /// <summary>Writes the attention's result: the weighted mean of the values.</summary>
    public void Finish(float* output, int headDim)
    {
        int i = 0;
        TV total = TS.Splat(data[1]);
        for (; i + TS.Count <= headDim; i += TS.Count)
            TS.Store(output + i, TS.Divide(TS.Load(Values + i), total));
        if (i < headDim)
            LaneMath<TS, TV>.StorePartial(output + i, TS.Divide(TS.Load(Values + i), total), headDim - i);
    }

    private void Relate(float max)
    {
        float kept = Exp(data[0] - max);
        data[0] = max;
        data[1] *= kept;
        for (int i = 0; i < paddedHeadDim; i += TS.Count)
            TS.Store(Values + i, TS.Multiply(TS.Load(Values + i), TS.Splat(kept)));
    }

    private static float Exp(float x)
    {
        float* lanes = stackalloc float[TS.Count];
        TS.Store(lanes, LaneMath<TS, TV>.Exp(TS.Splat(x)));
        return lanes[0];
    }
}

/// <summary>The states of all queries of a tile on one KV head.</summary>
internal static unsafe class AttentionStates<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Floats of the largest tile's states.</summary>
    public static long Floats(in AttentionPlan plan) => (long)plan.Queries * AttentionState<TS, TV>.Floats(plan.PaddedHeadDim);

    /// <summary>Takes a later span in, for the rows that see it.</summary>
    public static void Merge(in AttentionPlan plan, AttentionTile tile, int span, float* states, float* later)
    {
        for (int q = 0; q < tile.Rows * plan.Group; q++)
        {
            if (AttentionPlan.SpanOf(tile.FirstPosition + (q / plan.Group)) >= span)
                At(plan, states, q).Merge(At(plan, later, q));
        }
    }

    /// <summary>Writes the results.</summary>
    public static void Finish(in AttentionPlan plan, AttentionTile tile, int kvHead, float* states)
    {
        for (int q = 0; q < tile.Rows * plan.Group; q++)
            At(plan, states, q).Finish(plan.Output + plan.Offset(tile, kvHead, q), plan.HeadDim);
    }

    /// <summary>The state of one query.</summary>
    public static AttentionState<TS, TV> At(in AttentionPlan plan, float* states, int q) =>
        new(states + (q * (long)AttentionState<TS, TV>.Floats(plan.PaddedHeadDim)), plan.PaddedHeadDim);
}
