using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>Where a warp's sums go: to the result, or, of a single span, to the states that are merged later.</summary>
internal static class AttentionOutput
{
    public static void Store<THead>(
        CudaAttentionArgs args, AttentionWork work, int lane, int span, HeadSums lowHalf, HeadSums highHalf, TwoRows largest, TwoRows weight)
        where THead : struct, IHeadSize
    {
        int query = lane / 4;
        if (query < work.Count)
            StoreQuery<THead>(args, work, query, lane % 4, span, LowRow(lowHalf), LowRow(highHalf), largest.Low, weight.Low);
        if (query + 8 < work.Count)
            StoreQuery<THead>(args, work, query + 8, lane % 4, span, HighRow(lowHalf), HighRow(highHalf), largest.High, weight.High);
    }

    /// <summary>Where the state of a query's span lies.</summary>
    public static ulong PartialAt<THead>(CudaAttentionArgs args, int row, int head, int span)
        where THead : struct, IHeadSize =>
        args.Partials + ((((((ulong)(uint)row * (uint)args.Heads) + (uint)head) * (uint)args.Spans) + (uint)span) * (ulong)((THead.Elements + 4) * sizeof(float)));

    private static void StoreQuery<THead>(
        CudaAttentionArgs args, AttentionWork work, int query, int quarter, int span, SixteenElements low, SixteenElements high, float largest,
        float weight)
        where THead : struct, IHeadSize
    {
        const int QuarterBytes = 16 * sizeof(float), HalfBytes = 64 * sizeof(float);
        int row = work.RowOf(query), head = work.HeadOf(query);
        bool split = args.Split != 0;
        float factor = split ? 1 : Ptx.Divide(1, weight);
        ulong result = args.Output + ((((ulong)(uint)row * (uint)args.OutputStride) + (uint)(head * THead.Elements)) * sizeof(float));
        ulong target = split ? PartialAt<THead>(args, row, head, span) : result;
        StoreElements(target + (uint)(quarter * QuarterBytes), low, factor);
        if (THead.HasSecondHalf)
            StoreElements(target + HalfBytes + (uint)(quarter * QuarterBytes), high, factor);
        if (split && quarter == 0)
        {
            Ptx.Store(target + (uint)(THead.Elements * sizeof(float)), largest);
            Ptx.Store(target + (uint)((THead.Elements + 1) * sizeof(float)), weight);
        }
    }

    private static void StoreElements(ulong address, SixteenElements elements, float factor)
    {
        Ptx.StoreFloats(address, Multiply(elements.A, factor));
        Ptx.StoreFloats(address + 16, Multiply(elements.B, factor));
        Ptx.StoreFloats(address + 32, Multiply(elements.C, factor));
        Ptx.StoreFloats(address + 48, Multiply(elements.D, factor));
    }

    private static Sums Multiply(Sums sums, float factor) =>
        Four(Ptx.Multiply(sums.X, factor), Ptx.Multiply(sums.Y, factor), Ptx.Multiply(sums.Z, factor), Ptx.Multiply(sums.W, factor));

    private static SixteenElements LowRow(HeadSums s)
    {
        SixteenElements elements;
        elements.A = Four(s.P0.X, s.P1.X, s.P2.X, s.P3.X);
        elements.B = Four(s.P4.X, s.P5.X, s.P6.X, s.P7.X);
        elements.C = Four(s.P0.Y, s.P1.Y, s.P2.Y, s.P3.Y);
        elements.D = Four(s.P4.Y, s.P5.Y, s.P6.Y, s.P7.Y);
        return elements;
    }

    private static SixteenElements HighRow(HeadSums s)
    {
        SixteenElements elements;
        elements.A = Four(s.P0.Z, s.P1.Z, s.P2.Z, s.P3.Z);
        elements.B = Four(s.P4.Z, s.P5.Z, s.P6.Z, s.P7.Z);
        elements.C = Four(s.P0.W, s.P1.W, s.P2.W, s.P3.W);
        elements.D = Four(s.P4.W, s.P5.W, s.P6.W, s.P7.W);
        return elements;
    }

    private static Sums Four(float x, float y, float z, float w)
    {
        Sums sums;
        sums.X = x;
        sums.Y = y;
        sums.Z = z;
        sums.W = w;
        return sums;
    }

    // A lane's elements of a half of one head, in order.
    private struct SixteenElements
    {
        public Sums A;
        public Sums B;
        public Sums C;
        public Sums D;
    }
}
