using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What the attention kernels take.</summary>
internal struct AttentionArgs
{
    public BatchView Batch;

    /// <summary>Two numbers a tile: its first row and its rows, all of one sequence.</summary>
    public ArrayView<int> Tiles;
    public ArrayView<float> Query;
    public int QueryStride;

    /// <summary>The layer's keys, and its values.</summary>
    public ArrayView<U4> Keys;
    public ArrayView<U4> Values;
    public ArrayView<float> Output;
    public int OutputStride;

    /// <summary>States of spans, where these are computed apart.</summary>
    public ArrayView<float> Partials;

    public int Heads;
    public int KvHeads;
    public int HeadDim;

    /// <summary>Chunks of a vector, and of a block's head.</summary>
    public int Chunks;
    public int HeadUnits;

    /// <summary>Query heads of a tile, and tiles that share a KV head.</summary>
    public int TileHeads;
    public int HeadParts;

    /// <summary>Spans of the batch's longest context.</summary>
    public int Spans;

    /// <summary>1 where each group takes one span and another kernel merges; 0 where a group takes all.</summary>
    public int Split;

    /// <summary>1 / sqrt(head dim).</summary>
    public float Scale;
}

/// <summary>The queries of a group: consecutive rows times query heads of one KV head.</summary>
internal struct AttentionTile
{
    /// <summary>Most queries of a tile.</summary>
    public const int Most = 8;

    public int FirstRow;
    public int Rows;

    /// <summary>The first query head, and how many are its KV head's.</summary>
    public int FirstHead;
    public int HeadsLeft;

    /// <summary>Query heads of a row in the tile.</summary>
    public int Width;

    /// <summary>Whether the tile's query of that number exists.</summary>
    public readonly bool Holds(int query) => query / Width < Rows && query % Width < HeadsLeft;

    /// <summary>A query's row.</summary>
    public readonly int Row(int query) => FirstRow + (query / Width);

    /// <summary>A query's head.</summary>
    public readonly int Head(int query) => FirstHead + (query % Width);
}

/// <summary>
/// Flash-style attention over the paged cache for any device. A group takes a tile of up to eight queries that share a KV head, so that each
/// key and value is read once for all of them; grid: (tiles, KV heads * head parts, spans or 1).
/// </summary>
internal static class AttentionKernel<TKv, TQueries>
    where TKv : struct, IKvFormat
    where TQueries : struct, IQueryTile<TQueries>
{
    private const int MostHeadDim = AttentionKernels.MostHeadDim;
    private const int ThreadsPerQuery = AttentionSpan.GroupSize / AttentionTile.Most;

    /// <summary>The kernel.</summary>
    public static void Run(AttentionArgs args)
    {
        ArrayView<float> queries = SharedMemory.Allocate<float>(AttentionTile.Most * MostHeadDim);
        ArrayView<float> scores = SharedMemory.Allocate<float>(AttentionTile.Most * AttentionSpan.Length);
        ArrayView<float> parts = SharedMemory.Allocate<float>(2 * AttentionSpan.GroupSize);
        AttentionSpan span = default;
        span.Sums = SharedMemory.Allocate<float>(AttentionSpan.Warps * AttentionSpan.QueriesAtOnce * AttentionSpan.PartialStride);
        span.Limits = SharedMemory.Allocate<int>(AttentionTile.Most);
        span.Span = SharedMemory.Allocate<float>(2 * AttentionTile.Most);
        span.Before = SharedMemory.Allocate<float>(2 * AttentionTile.Most);
        span.Args = args;
        span.Tile = TileOf(args);
        span.FirstElement = 0;

        int kvHead = Grid.IdxY / args.HeadParts, stride = args.Chunks * 4 * TKv.Fours;
        LoadQueries(args, span, queries, stride);
        Group.Barrier();
        int longest = args.Batch.Positions[span.Tile.FirstRow + span.Tile.Rows - 1] + 1;
        span.Count = (longest + AttentionSpan.Length - 1) / AttentionSpan.Length;
        int first = args.Split != 0 ? Grid.IdxZ : 0, end = args.Split != 0 ? IntrinsicMath.Min(first + 1, span.Count) : span.Count;
        int table = args.Batch.TableOf(span.Tile.FirstRow);
        for (int index = first; index < end; index++)
        {
            span.Index = index;
            int count = IntrinsicMath.Min(AttentionSpan.Length, longest - span.Start);
            Score(args, span, queries, scores, stride, table, kvHead, count);
            Group.Barrier();
            Weigh(span, scores, parts);
            for (int element = 0; element < stride; element += AttentionSpan.PartialStride)
            {
                span.FirstElement = element;
                TQueries.Merge(SumValues(args, span, scores, stride, table, kvHead, count), span, 0);
            }

            KeepState(args, span);
            Group.Barrier();
        }
    }

    private static AttentionTile TileOf(AttentionArgs args)
    {
        int group = args.Heads / args.KvHeads, part = Grid.IdxY % args.HeadParts;
        AttentionTile tile;
        tile.FirstRow = args.Tiles[2 * Grid.IdxX];
        tile.Rows = args.Tiles[(2 * Grid.IdxX) + 1];
        tile.Width = args.TileHeads;
        tile.FirstHead = (Grid.IdxY / args.HeadParts * group) + (part * args.TileHeads);
        tile.HeadsLeft = IntrinsicMath.Min(args.TileHeads, group - (part * args.TileHeads));
        return tile;
    }

    private static void LoadQueries(AttentionArgs args, AttentionSpan span, ArrayView<float> queries, int stride)
    {
        for (int i = Group.IdxX; i < TQueries.Count * stride; i += AttentionSpan.GroupSize)
        {
            int query = i / stride, element = i % stride;
            float value = 0f;
            if (element < args.HeadDim && span.Tile.Holds(query))
            {
                long at = ((long)span.Tile.Row(query) * args.QueryStride) + (span.Tile.Head(query) * args.HeadDim) + element;
                value = args.Query[at] * args.Scale;
            }

            queries[i] = value;
        }

        if (Group.IdxX < AttentionTile.Most)
            span.Limits[Group.IdxX] = span.Tile.Holds(Group.IdxX) ? args.Batch.Positions[span.Tile.Row(Group.IdxX)] + 1 : 0;
    }

    // A thread takes whole positions.
    private static void Score(
        AttentionArgs args, AttentionSpan span, ArrayView<float> queries, ArrayView<float> scores, int stride, int table, int kvHead, int count)
    {
        for (int p = Group.IdxX; p < AttentionSpan.Length; p += AttentionSpan.GroupSize)
        {
            TQueries tile = default;
            if (p < count)
            {
                KvPlace place = PlaceOf(args, table, kvHead, span.Start + p);
                for (int chunk = 0; chunk < args.Chunks; chunk++)
                {
                    U4 bits = args.Keys[place.Key(chunk)];
                    float scale = TKv.ScaleOf(args.Keys, place, chunk);
                    for (int four = 0; four < TKv.Fours; four++)
                    {
                        tile = TQueries.Multiply(tile, TKv.First(bits, scale), queries, 4 * ((chunk * TKv.Fours) + four), stride);
                        bits = TKv.Next(bits);
                    }
                }
            }

            TQueries.PutScores(tile, scores, p, span.Limits, 0, span.Start + p);
        }
    }

    // Sixteen threads a query find its largest score, turn its scores into weights, and add these up.
    private static void Weigh(AttentionSpan span, ArrayView<float> scores, ArrayView<float> parts)
    {
        int query = Group.IdxX / ThreadsPerQuery, part = Group.IdxX % ThreadsPerQuery, row = query * AttentionSpan.Length;
        float max = float.NegativeInfinity;
        if (query < TQueries.Count)
        {
            for (int i = part; i < AttentionSpan.Length; i += ThreadsPerQuery)
                max = scores[row + i] > max ? scores[row + i] : max;
        }

        parts[Group.IdxX] = max;
        Group.Barrier();
        for (int i = 0; i < ThreadsPerQuery; i++)
            max = parts[(query * ThreadsPerQuery) + i] > max ? parts[(query * ThreadsPerQuery) + i] : max;
        float sum = 0f;
        if (query < TQueries.Count)
        {
            int visible = span.Limits[query] - span.Start;
            for (int i = part; i < AttentionSpan.Length; i += ThreadsPerQuery)
            {
                float weight = i < visible ? FloatMath.Exp(scores[row + i] - max) : 0f;
                scores[row + i] = weight;
                sum += weight;
            }
        }

        parts[AttentionSpan.GroupSize + Group.IdxX] = sum;
        Group.Barrier();
        if (part == 0)
        {
            float total = 0f;
            for (int i = 0; i < ThreadsPerQuery; i++)
                total += parts[AttentionSpan.GroupSize + Group.IdxX + i];
            span.Span[query] = max;
            span.Span[AttentionTile.Most + query] = total;
        }

        Group.Barrier();
    }

    // A lane takes four elements, a warp every fourth position.
    private static TQueries SumValues(
        AttentionArgs args, AttentionSpan span, ArrayView<float> scores, int stride, int table, int kvHead, int count)
    {
        TQueries tile = default;
        int four = (span.FirstElement / 4) + (Group.IdxX & (AttentionSpan.Lanes - 1));
        if (4 * four < stride)
        {
            for (int p = Group.IdxX / AttentionSpan.Lanes; p < count; p += AttentionSpan.Warps)
                tile = TQueries.Weigh(tile, TKv.Value(args.Values, PlaceOf(args, table, kvHead, span.Start + p), four), scores, p);
        }

        return tile;
    }

    private static void KeepState(AttentionArgs args, AttentionSpan span)
    {
        int query = Group.IdxX;
        if (query >= TQueries.Count || !span.Tile.Holds(query) || span.Limits[query] <= span.Start)
            return;
        SoftmaxState own;
        own.Max = span.Span[query];
        own.Weight = span.Span[AttentionTile.Most + query];
        own.Sum = 0f;
        if (args.Split != 0)
        {
            long at = AttentionSpan.PartialAt(args, span.Tile.Row(query), span.Tile.Head(query), span.Index);
            args.Partials[at + args.HeadDim] = own.Max;
            args.Partials[at + args.HeadDim + 1] = own.Weight;
            return;
        }

        SoftmaxState before;
        before.Max = span.Before[query];
        before.Weight = span.Before[AttentionTile.Most + query];
        before.Sum = 0f;
        SoftmaxState merged = span.Index == 0 ? own : SoftmaxState.Merge(before, own);
        span.Before[query] = merged.Max;
        span.Before[AttentionTile.Most + query] = merged.Weight;
    }

    private static KvPlace PlaceOf(AttentionArgs args, int table, int kvHead, int position)
    {
        int block = args.Batch.Blocks[table + (position / KvShape.BlockSize)];
        KvPlace place;
        place.Base = (((long)block * args.KvHeads) + kvHead) * args.HeadUnits;
        place.Position = position % KvShape.BlockSize;
        place.Chunks = args.Chunks;
        return place;
    }
}

/// <summary>The attention kernels of every cache format and tile size, and the one that merges spans.</summary>
internal static class AttentionKernels
{
    /// <summary>The largest heads that the kernels' shared memory takes.</summary>
    public const int MostHeadDim = 256;

    private static readonly int[] Sizes = [1, 4, AttentionTile.Most];

    private static readonly KernelEntry<AttentionArgs>[][] Table =
        [Of<F32Kv>(KvFormat.F32), Of<F16Kv>(KvFormat.F16), Of<Bf16Kv>(KvFormat.BF16), Of<Q8Kv>(KvFormat.Q8_0)];

    /// <summary>Merges the states of a row's spans, in order. Grid: (heads, rows).</summary>
    public static readonly KernelEntry<AttentionArgs> Merge = new(new KernelTraits("attention merge", AttentionSpan.GroupSize, 2, Hot: false), MergeSpans);

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => Table.SelectMany(entries => entries).Append(Merge);

    /// <summary>The kernel for a cache format and a number of queries that share a KV head, and the size of its tiles.</summary>
    public static (KernelEntry<AttentionArgs> Entry, int Size) For(KvFormat format, int queries)
    {
        int i = 0;
        while (i < Sizes.Length - 1 && Sizes[i] < queries)
            i++;
        return (Table[(int)format][i], Sizes[i]);
    }

    private static void MergeSpans(AttentionArgs args)
    {
        int head = Grid.IdxX, row = Grid.IdxY;
        int spans = (args.Batch.Positions[row] + AttentionSpan.Length) / AttentionSpan.Length;
        for (int element = Group.IdxX; element < args.HeadDim; element += AttentionSpan.GroupSize)
        {
            SoftmaxState state = StateOf(args, row, head, 0, element);
            for (int span = 1; span < spans; span++)
                state = SoftmaxState.Merge(state, StateOf(args, row, head, span, element));
            args.Output[((long)row * args.OutputStride) + (head * args.HeadDim) + element] = state.Sum / state.Weight;
        }
    }

    private static SoftmaxState StateOf(AttentionArgs args, int row, int head, int span, int element)
    {
        long at = AttentionSpan.PartialAt(args, row, head, span);
        SoftmaxState state;
        state.Sum = args.Partials[at + element];
        state.Max = args.Partials[at + args.HeadDim];
        state.Weight = args.Partials[at + args.HeadDim + 1];
        return state;
    }

    private static KernelEntry<AttentionArgs>[] Of<TKv>(KvFormat format)
        where TKv : struct, IKvFormat =>
        [
            Of<TKv, OneQuery>(format), Of<TKv, TwiceQueries<TwiceQueries<OneQuery>>>(format),
            Of<TKv, TwiceQueries<TwiceQueries<TwiceQueries<OneQuery>>>>(format),
        ];

    private static KernelEntry<AttentionArgs> Of<TKv, TQueries>(KvFormat format)
        where TKv : struct, IKvFormat
        where TQueries : struct, IQueryTile<TQueries> =>
        new(new KernelTraits($"attention {format} x {TQueries.Count}", AttentionSpan.GroupSize, MinGroups: 4, Hot: true), AttentionKernel<TKv, TQueries>.Run);
}
