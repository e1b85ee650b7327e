using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>
/// A span of the context as a group works on it: where the queries' state lies in shared memory, and where results go. A softmax over
/// the context is gathered span by span, from nothing, and merged in order; spans begin at fixed positions, so the bits of a row's
/// result depend on its position alone.
/// </summary>
internal struct AttentionSpan
{
    /// <summary>Positions of a span.</summary>
    public const int Length = 256;

    /// <summary>Threads of a group.</summary>
    public const int GroupSize = 128;

    /// <summary>Threads that take every fourth position of the values together.</summary>
    public const int Lanes = 32;

    /// <summary>Warps of a group.</summary>
    public const int Warps = GroupSize / Lanes;

    /// <summary>Elements of a head that the lanes hold at one time, four each; also the floats from one query's sums to the next one's.</summary>
    public const int PartialStride = 4 * Lanes;

    /// <summary>Queries whose sums go through shared memory at one time.</summary>
    public const int QueriesAtOnce = 4;

    /// <summary>The launch.</summary>
    public AttentionArgs Args;

    /// <summary>The tile's queries.</summary>
    public AttentionTile Tile;

    /// <summary>Room for the warps' sums.</summary>
    public ArrayView<float> Sums;

    /// <summary>Each query's visible positions.</summary>
    public ArrayView<int> Limits;

    /// <summary>Of this span: each query's largest score, then its sum of weights, from <see cref="AttentionTile.Most"/> on.</summary>
    public ArrayView<float> Span;

    /// <summary>Of the spans before: the same.</summary>
    public ArrayView<float> Before;

    /// <summary>The span's number, and the number of spans of the tile's longest row.</summary>
    public int Index;
    public int Count;

    /// <summary>The first element of the heads that is in turn.</summary>
    public int FirstElement;

    /// <summary>The first position.</summary>
    public readonly int Start => Index * Length;

    /// <summary>Adds up the warps' sums for at most <see cref="QueriesAtOnce"/> queries and merges them into what the spans before left.</summary>
    public static void Merge<TTile>(TTile tile, AttentionSpan span, int firstQuery)
        where TTile : struct, IQueryTile<TTile>
    {
        int lane = Group.IdxX & (Lanes - 1), warp = Group.IdxX / Lanes, perWarp = QueriesAtOnce * PartialStride;
        TTile.PutSums(tile, span.Sums, (warp * perWarp) + (4 * lane));
        Group.Barrier();
        int element = span.FirstElement + Group.IdxX;
        for (int k = 0; k < TTile.Count; k++)
        {
            int query = firstQuery + k, at = (k * PartialStride) + Group.IdxX;
            if (element < span.Args.HeadDim && span.Tile.Holds(query))
            {
                float sum = (span.Sums[at] + span.Sums[perWarp + at]) + (span.Sums[(2 * perWarp) + at] + span.Sums[(3 * perWarp) + at]);
                Store(span, query, element, sum);
            }
        }

        Group.Barrier();
    }

    private static void Store(AttentionSpan span, int query, int element, float sum)
    {
        AttentionArgs args = span.Args;
        int row = span.Tile.Row(query), head = span.Tile.Head(query);
        bool empty = span.Limits[query] <= span.Start;
        if (args.Split != 0)
        {
            if (!empty)
                args.Partials[PartialAt(args, row, head, span.Index) + element] = sum;
            return;
        }

        long at = ((long)row * args.OutputStride) + (head * args.HeadDim) + element;
        SoftmaxState before;
        before.Max = span.Before[query];
        before.Weight = span.Before[AttentionTile.Most + query];
        before.Sum = span.Index == 0 ? 0f : args.Output[at];
        SoftmaxState merged = before;
        if (!empty)
        {
            SoftmaxState own;
            own.Max = span.Span[query];
            own.Weight = span.Span[AttentionTile.Most + query];
            own.Sum = sum;
            merged = span.Index == 0 ? own : SoftmaxState.Merge(before, own);
        }

        args.Output[at] = span.Index == span.Count - 1 ? merged.Sum / merged.Weight : merged.Sum;
    }

    /// <summary>Where the state of a row's head after one span alone lies: the sums, then the largest score and the weight.</summary>
    public static long PartialAt(AttentionArgs args, int row, int head, int span) =>
        (((((long)row * args.Heads) + head) * args.Spans) + span) * (args.HeadDim + 2);
}

/// <summary>A softmax-weighted sum of values under way: relative to the largest score so far.</summary>
internal struct SoftmaxState
{
    public float Max;
    public float Weight;
    public float Sum;

    /// <summary>Two states as one; the first came first.</summary>
    public static SoftmaxState Merge(SoftmaxState first, SoftmaxState second)
    {
        SoftmaxState merged;
        merged.Max = second.Max > first.Max ? second.Max : first.Max;
        float a = FloatMath.Exp(first.Max - merged.Max), b = FloatMath.Exp(second.Max - merged.Max);
        merged.Weight = Fused.MultiplyAdd(first.Weight, a, second.Weight * b);
        merged.Sum = Fused.MultiplyAdd(first.Sum, a, second.Sum * b);
        return merged;
    }
}
