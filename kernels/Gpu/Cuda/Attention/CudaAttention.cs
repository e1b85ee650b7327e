using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>
/// Attention on the tensor cores, for prompts and for single rows alike: a warp takes up to 16 queries that share a KV head, and goes through
/// their context in spans of 64 positions, straight from global memory into registers. Queries are 16 rows of the products' first operand;
/// rows of one sequence, and the heads of a group, so share one reading of keys and values.
/// </summary>
/// <remarks>
/// <para>Softmax as in FlashAttention (Dao et al. 2022), with borders that depend on positions alone: each span's state is gathered from
/// nothing, then merged into what came before. Whether one warp goes through all spans or each has its own and <see cref="SpanMerging"/>
/// merges them, a row's result has the same bits.</para>
/// <para>Which elements a step of a product sums is free as long as both operands agree, and so is which column of a result is which
/// element: so every load of keys and values is of 16 bytes a lane. Lane 4 g + t takes of a key (position g) the chunks t, t + 4, …; of
/// values (positions 2 t, 2 t + 1 and 8 further on) the chunk g.</para>
/// </remarks>
internal static class CudaAttention
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = 128;

    private const int BlockSize = Devices.KvShape.BlockSize;
    private const int Warps = Threads / 32;
    private const int ChunkBytes = 16;
    private const int MostSteps = 8;
    private const int StepBytes = Threads * 16;
    private const int KeyChunkBytes = BlockSize * ChunkBytes;

    /// <summary>Grid: a warp for every tile and KV head, times the spans if they are split.</summary>
    public static void Run<TElement, THead>(CudaAttentionArgs args)
        where TElement : struct, IKvElement
        where THead : struct, IHeadSize
    {
        int lane = Group.IdxX % 32, item = (Grid.IdxX * Warps) + (Group.IdxX / 32);
        int perHead = args.Split != 0 ? args.Spans : 1;
        if (item >= args.TileCount * args.KvHeads * perHead)
            return;

        // Tiles that follow each other read the same keys and values, and so do the warps of a group.
        int span = item % perHead, tile = item / perHead % args.TileCount, kvHead = item / perHead / args.TileCount;
        AttentionWork work = AttentionWork.Of(args, tile, kvHead);
        int spans = (work.Limit + AttentionWork.SpanLength - 1) / AttentionWork.SpanLength;
        int first = args.Split != 0 ? span : 0, last = args.Split != 0 ? IntrinsicMath.Min(span + 1, spans) : spans;
        if (first >= last)
            return;

        // Of every step 16 bytes a thread, which no other thread reads: shared memory instead of registers.
        uint query = Ptx.SharedMemory(MostSteps * StepBytes) + (uint)(Group.IdxX * 16);
        StoreQueries<TElement, THead>(args, work, lane, query);
        int lowLimit = work.LimitOf(args, lane / 4), highLimit = work.LimitOf(args, (lane / 4) + 8);
        HeadSums lowHalf = default, highHalf = default;
        TwoRows largest = TwoRows.Of(float.NegativeInfinity, float.NegativeInfinity), weight = default;
        for (int i = first; i < last; i++)
        {
            int start = i * AttentionWork.SpanLength;
            uint headBytes = (uint)(THead.Elements * BlockSize * sizeof(ushort));
            ulong b0 = work.BlockAt(args, start, headBytes), b1 = work.BlockAt(args, start + BlockSize, headBytes);
            ulong b2 = work.BlockAt(args, start + (2 * BlockSize), headBytes), b3 = work.BlockAt(args, start + (3 * BlockSize), headBytes);

            SpanScores scores = Scores<TElement, THead>(args, query, lane, b0, b1, b2, b3);
            scores = SpanScores.Mask(scores, args.Scale, lane % 4 * 2, lowLimit - start, highLimit - start);
            TwoRows own = SpanScores.Largest(scores);
            SpanScores weights = SpanScores.Weights(scores, own);
            TwoRows ownWeight = SpanScores.Total(weights);

            TwoRows merged = TwoRows.Of(Ptx.Max(largest.Low, own.Low), Ptx.Max(largest.High, own.High));
            TwoRows a = TwoRows.Of(SpanMerge.Factor(largest.Low, merged.Low), SpanMerge.Factor(largest.High, merged.High));
            TwoRows b = TwoRows.Of(SpanMerge.Factor(own.Low, merged.Low), SpanMerge.Factor(own.High, merged.High));
            largest = merged;
            weight = TwoRows.Of(
                SpanMerge.Join(weight.Low, a.Low, ownWeight.Low, b.Low), SpanMerge.Join(weight.High, a.High, ownWeight.High, b.High));

            SpanWeights packed = Pack<TElement>(weights);
            ulong values = args.Values + (uint)(lane / 4 * ChunkBytes);
            lowHalf = HeadSums.Merge(lowHalf, a, Weigh<TElement, THead>(work, packed, start, lane, values, b0, b1, b2, b3), b);

            // Without it the compiler loads the second half's values while the first half's hold the registers.
            Warp.Barrier();
            if (THead.HasSecondHalf)
                highHalf = HeadSums.Merge(highHalf, a, Weigh<TElement, THead>(work, packed, start, lane, values + (8 * ChunkBytes), b0, b1, b2, b3), b);
        }

        AttentionOutput.Store<THead>(args, work, lane, first, lowHalf, highHalf, largest, weight);
    }

    // The 16 bits of each lane's elements: of queries g and g + 8 the chunks t, t + 4, …, two steps a chunk.
    private static void StoreQueries<TElement, THead>(CudaAttentionArgs args, AttentionWork work, int lane, uint query)
        where TElement : struct, IKvElement
        where THead : struct, IHeadSize
    {
        ulong low = QueryAt<THead>(args, work, lane / 4, lane % 4), high = QueryAt<THead>(args, work, (lane / 4) + 8, lane % 4);
        for (uint i = 0; i < THead.Elements / 32; i++)
        {
            Ptx.StoreShared16(query + (2 * i * StepBytes), QueryStep<TElement>(low + (i * 128), high + (i * 128)));
            Ptx.StoreShared16(query + (((2 * i) + 1) * StepBytes), QueryStep<TElement>(low + (i * 128) + 16, high + (i * 128) + 16));
        }
    }

    private static ulong QueryAt<THead>(CudaAttentionArgs args, AttentionWork work, int query, int chunk)
        where THead : struct, IHeadSize =>
        args.Query + ((((ulong)(uint)work.RowOf(query) * (uint)args.QueryStride) + (uint)((work.HeadOf(query) * THead.Elements) + (chunk * 8))) * sizeof(float));

    private static U4 QueryStep<TElement>(ulong low, ulong high)
        where TElement : struct, IKvElement
    {
        Sums x = Ptx.LoadFloats(low), y = Ptx.LoadFloats(high);
        U4 step;
        step.X = TElement.Pack(x.X, x.Y);
        step.Y = TElement.Pack(y.X, y.Y);
        step.Z = TElement.Pack(x.Z, x.W);
        step.W = TElement.Pack(y.Z, y.W);
        return step;
    }

    private static SpanScores Scores<TElement, THead>(
        CudaAttentionArgs args, uint query, int lane, ulong b0, ulong b1, ulong b2, ulong b3)
        where TElement : struct, IKvElement
        where THead : struct, IHeadSize
    {
        // Chunk t of position g.
        ulong keys = args.Keys + (uint)((lane % 4 * KeyChunkBytes) + (lane / 4 * ChunkBytes));
        SpanScores scores = default;
        for (uint i = 0; i < THead.Elements / 32; i++)
        {
            U4 first = Ptx.LoadShared16(query + (2 * i * StepBytes)), second = Ptx.LoadShared16(query + (((2 * i) + 1) * StepBytes));
            ulong chunk = keys + (i * 4 * KeyChunkBytes);
            scores.P0 = Score<TElement>(scores.P0, first, second, chunk + b0);
            scores.P1 = Score<TElement>(scores.P1, first, second, chunk + b0 + (8 * ChunkBytes));
            scores.P2 = Score<TElement>(scores.P2, first, second, chunk + b1);
            scores.P3 = Score<TElement>(scores.P3, first, second, chunk + b1 + (8 * ChunkBytes));
            scores.P4 = Score<TElement>(scores.P4, first, second, chunk + b2);
            scores.P5 = Score<TElement>(scores.P5, first, second, chunk + b2 + (8 * ChunkBytes));
            scores.P6 = Score<TElement>(scores.P6, first, second, chunk + b3);
            scores.P7 = Score<TElement>(scores.P7, first, second, chunk + b3 + (8 * ChunkBytes));
        }

        return scores;
    }

    private static Sums Score<TElement>(Sums sums, U4 first, U4 second, ulong keys)
        where TElement : struct, IKvElement
    {
        U4 k = Ptx.LoadInOrder16(keys);
        return TElement.Multiply(TElement.Multiply(sums, first, k.X, k.Y), second, k.Z, k.W);
    }

    // Sums over 8 positions become the first operand of a product over 16: the registers are the same.
    private static SpanWeights Pack<TElement>(SpanScores w)
        where TElement : struct, IKvElement
    {
        SpanWeights packed;
        packed.B0 = Pack<TElement>(w.P0, w.P1);
        packed.B1 = Pack<TElement>(w.P2, w.P3);
        packed.B2 = Pack<TElement>(w.P4, w.P5);
        packed.B3 = Pack<TElement>(w.P6, w.P7);
        return packed;
    }

    private static U4 Pack<TElement>(Sums first, Sums second)
        where TElement : struct, IKvElement
    {
        U4 packed;
        packed.X = TElement.Pack(first.X, first.Y);
        packed.Y = TElement.Pack(first.Z, first.W);
        packed.Z = TElement.Pack(second.X, second.Y);
        packed.W = TElement.Pack(second.Z, second.W);
        return packed;
    }

    private static HeadSums Weigh<TElement, THead>(
        AttentionWork work, SpanWeights weights, int start, int lane, ulong values, ulong b0, ulong b1, ulong b2, ulong b3)
        where TElement : struct, IKvElement
        where THead : struct, IHeadSize
    {
        HeadSums sums = default;
        sums = WeighBlock<TElement, THead>(sums, weights.B0, work.LastIn(start), lane, values + b0);
        sums = WeighBlock<TElement, THead>(sums, weights.B1, work.LastIn(start + BlockSize), lane, values + b1);
        sums = WeighBlock<TElement, THead>(sums, weights.B2, work.LastIn(start + (2 * BlockSize)), lane, values + b2);
        return WeighBlock<TElement, THead>(sums, weights.B3, work.LastIn(start + (3 * BlockSize)), lane, values + b3);
    }

    // Positions that no query sees may hold anything, and a NaN's product with a weight of 0 is one, too: the last seen one stands for them.
    private static HeadSums WeighBlock<TElement, THead>(HeadSums sums, U4 weights, int last, int lane, ulong values)
        where TElement : struct, IKvElement
        where THead : struct, IHeadSize
    {
        int position = lane % 4 * 2;
        U4 v0 = Value<THead>(values, position, last), v1 = Value<THead>(values, position + 1, last);
        U4 v8 = Value<THead>(values, position + 8, last), v9 = Value<THead>(values, position + 9, last);
        HeadSums result;
        result.P0 = TElement.Multiply(sums.P0, weights, LowHalves(v0.X, v1.X), LowHalves(v8.X, v9.X));
        result.P1 = TElement.Multiply(sums.P1, weights, HighHalves(v0.X, v1.X), HighHalves(v8.X, v9.X));
        result.P2 = TElement.Multiply(sums.P2, weights, LowHalves(v0.Y, v1.Y), LowHalves(v8.Y, v9.Y));
        result.P3 = TElement.Multiply(sums.P3, weights, HighHalves(v0.Y, v1.Y), HighHalves(v8.Y, v9.Y));
        result.P4 = TElement.Multiply(sums.P4, weights, LowHalves(v0.Z, v1.Z), LowHalves(v8.Z, v9.Z));
        result.P5 = TElement.Multiply(sums.P5, weights, HighHalves(v0.Z, v1.Z), HighHalves(v8.Z, v9.Z));
        result.P6 = TElement.Multiply(sums.P6, weights, LowHalves(v0.W, v1.W), LowHalves(v8.W, v9.W));
        result.P7 = TElement.Multiply(sums.P7, weights, HighHalves(v0.W, v1.W), HighHalves(v8.W, v9.W));
        return result;
    }

    private static U4 Value<THead>(ulong values, int position, int last)
        where THead : struct, IHeadSize =>
        Ptx.LoadInOrder16(values + (uint)(IntrinsicMath.Min(position, last) * THead.Elements * sizeof(ushort)));

    private static uint LowHalves(uint a, uint b) => Ptx.PickBytes(a, b, 0x5410);

    private static uint HighHalves(uint a, uint b) => Ptx.PickBytes(a, b, 0x7632);

    // The weights of a span's four blocks.
    private struct SpanWeights
    {
        public U4 B0;
        public U4 B1;
        public U4 B2;
        public U4 B3;
    }
}
