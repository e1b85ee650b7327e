using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>Four sums for each of a few queries that share a KV head, as one thread holds them: registers, so their number is part of the type.</summary>
internal interface IQueryTile<TSelf>
    where TSelf : struct, IQueryTile<TSelf>
{
    /// <summary>Queries of the tile.</summary>
    static abstract int Count { get; }

    /// <summary>Adds four elements of a key times those of each query; queries lie <paramref name="stride"/> apart in shared memory.</summary>
    static abstract TSelf Multiply(TSelf tile, F4 key, ArrayView<float> queries, int at, int stride);

    /// <summary>Stores each query's four sums added up, unless the position is at or beyond its limit.</summary>
    static abstract void PutScores(TSelf tile, ArrayView<float> scores, int at, ArrayView<int> limits, int query, int position);

    /// <summary>Adds four elements of a value times each query's weight. A weight of exactly zero, such as a masked one, takes nothing.</summary>
    static abstract TSelf Weigh(TSelf tile, F4 value, ArrayView<float> weights, int at);

    /// <summary>Stores the sums, each query's <see cref="AttentionSpan.PartialStride"/> after the one before.</summary>
    static abstract void PutSums(TSelf tile, ArrayView<float> sums, int at);

    /// <summary>Merges the warps' sums into the result, for the elements in turn. All threads of the group take part.</summary>
    static abstract void Merge(TSelf tile, AttentionSpan span, int firstQuery);
}

/// <summary>One query.</summary>
internal struct OneQuery : IQueryTile<OneQuery>
{
    private F4 _sums;

    public static int Count => 1;

    public static OneQuery Multiply(OneQuery tile, F4 key, ArrayView<float> queries, int at, int stride)
    {
        tile._sums.X = Fused.MultiplyAdd(key.X, queries[at], tile._sums.X);
        tile._sums.Y = Fused.MultiplyAdd(key.Y, queries[at + 1], tile._sums.Y);
        tile._sums.Z = Fused.MultiplyAdd(key.Z, queries[at + 2], tile._sums.Z);
        tile._sums.W = Fused.MultiplyAdd(key.W, queries[at + 3], tile._sums.W);
        return tile;
    }

    public static void PutScores(OneQuery tile, ArrayView<float> scores, int at, ArrayView<int> limits, int query, int position) =>
        scores[at] = position < limits[query] ? (tile._sums.X + tile._sums.Y) + (tile._sums.Z + tile._sums.W) : float.NegativeInfinity;

    public static OneQuery Weigh(OneQuery tile, F4 value, ArrayView<float> weights, int at)
    {
        float weight = weights[at];
        if (weight != 0f)
        {
            tile._sums.X = Fused.MultiplyAdd(weight, value.X, tile._sums.X);
            tile._sums.Y = Fused.MultiplyAdd(weight, value.Y, tile._sums.Y);
            tile._sums.Z = Fused.MultiplyAdd(weight, value.Z, tile._sums.Z);
            tile._sums.W = Fused.MultiplyAdd(weight, value.W, tile._sums.W);
        }

        return tile;
    }

    public static void PutSums(OneQuery tile, ArrayView<float> sums, int at)
    {
        sums[at] = tile._sums.X;
        sums[at + 1] = tile._sums.Y;
        sums[at + 2] = tile._sums.Z;
        sums[at + 3] = tile._sums.W;
    }

    public static void Merge(OneQuery tile, AttentionSpan span, int firstQuery) => AttentionSpan.Merge(tile, span, firstQuery);
}

/// <summary>Two tiles, one after the other.</summary>
internal struct TwiceQueries<TTile> : IQueryTile<TwiceQueries<TTile>>
    where TTile : struct, IQueryTile<TTile>
{
    private TTile _first;
    private TTile _second;

    public static int Count => 2 * TTile.Count;

    public static TwiceQueries<TTile> Multiply(TwiceQueries<TTile> tile, F4 key, ArrayView<float> queries, int at, int stride)
    {
        tile._first = TTile.Multiply(tile._first, key, queries, at, stride);
        tile._second = TTile.Multiply(tile._second, key, queries, at + (TTile.Count * stride), stride);
        return tile;
    }

    public static void PutScores(TwiceQueries<TTile> tile, ArrayView<float> scores, int at, ArrayView<int> limits, int query, int position)
    {
        TTile.PutScores(tile._first, scores, at, limits, query, position);
        TTile.PutScores(tile._second, scores, at + (TTile.Count * AttentionSpan.Length), limits, query + TTile.Count, position);
    }

    public static TwiceQueries<TTile> Weigh(TwiceQueries<TTile> tile, F4 value, ArrayView<float> weights, int at)
    {
        tile._first = TTile.Weigh(tile._first, value, weights, at);
        tile._second = TTile.Weigh(tile._second, value, weights, at + (TTile.Count * AttentionSpan.Length));
        return tile;
    }

    public static void PutSums(TwiceQueries<TTile> tile, ArrayView<float> sums, int at)
    {
        TTile.PutSums(tile._first, sums, at);
        TTile.PutSums(tile._second, sums, at + (TTile.Count * AttentionSpan.PartialStride));
    }

    public static void Merge(TwiceQueries<TTile> tile, AttentionSpan span, int firstQuery)
    {
        if (Count <= AttentionSpan.QueriesAtOnce)
        {
            AttentionSpan.Merge(tile, span, firstQuery);
            return;
        }

        TTile.Merge(tile._first, span, firstQuery);
        TTile.Merge(tile._second, span, firstQuery + TTile.Count);
    }
}
