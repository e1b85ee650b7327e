using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Up to eight rows of 8-bit activations by the outputs of one panel. The unpacked codes stay in registers while the rows pass. Whatever
/// the tile, a result is summed the same way: whole numbers over 16 columns, then floats from left to right, in a lane of its own. So a
/// result's bits depend neither on the tile nor on the instructions: <see cref="MachineCode.ByteTileCode"/> has the same.
/// </summary>
internal readonly unsafe struct ByteTile<TS, TV, TF> : IPanelTile
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TF : struct, IBytePanelFormat
{
    /// <inheritdoc/>
    public static int ActivationBytes => ByteActivations.BlockBytes;

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes)
    {
        TV a0 = Begin(y, resumes);
        int spanBytes = PanelPacker<TF>.SpanBytes;
        for (; blocks > 0; blocks -= TF.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + TF.SpanScaleBytes;
            CachePrefetch.Beyond(span, TF.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, TF.SpanBlocks); i++, codes += TF.BlockCodeBytes, x += ByteActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, TF.BlockCodeBytes);
                TF.LoadCodes<TS, TV>(codes, lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7);
                TF.LoadScales<TS, TV>(span, i, lane, out TV s0, out TV s1, out TV min);
                a0 = Add(a0, x, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
            }
        }

        TS.Store(y, a0);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes);
        int spanBytes = PanelPacker<TF>.SpanBytes;
        for (; blocks > 0; blocks -= TF.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + TF.SpanScaleBytes;
            CachePrefetch.Beyond(span, TF.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, TF.SpanBlocks); i++, codes += TF.BlockCodeBytes, x += 2 * ByteActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, TF.BlockCodeBytes);
                TF.LoadCodes<TS, TV>(codes, lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7);
                TF.LoadScales<TS, TV>(span, i, lane, out TV s0, out TV s1, out TV min);
                a0 = Add(a0, x, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a1 = Add(a1, x + ByteActivations.BlockBytes, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
            }
        }

        TS.Store(y, a0);
        TS.Store(y + yStride, a1);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Four(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        float* y1 = y + yStride, y2 = y1 + yStride, y3 = y2 + yStride;
        TV a0 = Begin(y, resumes), a1 = Begin(y1, resumes), a2 = Begin(y2, resumes), a3 = Begin(y3, resumes);
        int spanBytes = PanelPacker<TF>.SpanBytes;
        for (; blocks > 0; blocks -= TF.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + TF.SpanScaleBytes;
            CachePrefetch.Beyond(span, TF.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, TF.SpanBlocks); i++, codes += TF.BlockCodeBytes, x += 4 * ByteActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, TF.BlockCodeBytes);
                TF.LoadCodes<TS, TV>(codes, lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7);
                TF.LoadScales<TS, TV>(span, i, lane, out TV s0, out TV s1, out TV min);
                a0 = Add(a0, x, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a1 = Add(a1, x + ByteActivations.BlockBytes, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a2 = Add(a2, x + (2 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a3 = Add(a3, x + (3 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
            }
        }

        TS.Store(y, a0);
        TS.Store(y1, a1);
        TS.Store(y2, a2);
        TS.Store(y3, a3);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Eight(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        float* y4 = y + (4 * yStride);
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes), a2 = Begin(y + (2 * yStride), resumes), a3 = Begin(y + (3 * yStride), resumes);
        TV a4 = Begin(y4, resumes), a5 = Begin(y4 + yStride, resumes), a6 = Begin(y4 + (2 * yStride), resumes), a7 = Begin(y4 + (3 * yStride), resumes);
        int spanBytes = PanelPacker<TF>.SpanBytes;
        for (; blocks > 0; blocks -= TF.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + TF.SpanScaleBytes;
            CachePrefetch.Beyond(span, TF.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, TF.SpanBlocks); i++, codes += TF.BlockCodeBytes, x += 8 * ByteActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, TF.BlockCodeBytes);
                TF.LoadCodes<TS, TV>(codes, lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7);
                TF.LoadScales<TS, TV>(span, i, lane, out TV s0, out TV s1, out TV min);
                a0 = Add(a0, x, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a1 = Add(a1, x + ByteActivations.BlockBytes, s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a2 = Add(a2, x + (2 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a3 = Add(a3, x + (3 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a4 = Add(a4, x + (4 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a5 = Add(a5, x + (5 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a6 = Add(a6, x + (6 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
                a7 = Add(a7, x + (7 * ByteActivations.BlockBytes), s0, s1, min, w0, w1, w2, w3, w4, w5, w6, w7);
            }
        }

        TS.Store(y, a0);
        TS.Store(y + yStride, a1);
        TS.Store(y + (2 * yStride), a2);
        TS.Store(y + (3 * yStride), a3);
        TS.Store(y4, a4);
        TS.Store(y4 + yStride, a5);
        TS.Store(y4 + (2 * yStride), a6);
        TS.Store(y4 + (3 * yStride), a7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Begin(float* y, bool resumes) => resumes ? TS.Load(y) : TS.Splat(0);

    // One block of one row.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Add(TV sum, byte* x, TV s0, TV s1, TV min, TV w0, TV w1, TV w2, TV w3, TV w4, TV w5, TV w6, TV w7)
    {
        var scales = (float*)(x + ByteActivations.ScalesAt);
        var sums = (float*)(x + ByteActivations.SumsAt);
        TV first = TF.IsWide ? TS.DotWideBytes(w0, w1, w2, w3, x) : TS.DotBytes(w0, w1, w2, w3, x);
        TV second = TF.IsWide ? TS.DotWideBytes(w4, w5, w6, w7, x + Panel.HalfColumns) : TS.DotBytes(w4, w5, w6, w7, x + Panel.HalfColumns);
        if (TF.IsPerHalf)
        {
            sum = TS.MultiplyAdd(TS.MultiplyAdd(first, TS.Splat(scales[0]), TS.Splat(sums[0])), s0, sum);
            return TS.MultiplyAdd(TS.MultiplyAdd(second, TS.Splat(scales[1]), TS.Splat(sums[1])), s1, sum);
        }

        if (TF.HasMin)
        {
            first = TS.Multiply(first, TS.Splat(scales[0]));
            sum = TS.MultiplyAdd(min, TS.Splat(sums[0]), sum);
        }
        else
        {
            first = TS.MultiplyAdd(first, TS.Splat(scales[0]), TS.Splat(sums[0]));
        }

        return TS.MultiplyAdd(TS.MultiplyAdd(second, TS.Splat(scales[1]), first), s0, sum);
    }
}
