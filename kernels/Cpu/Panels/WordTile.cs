using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Up to eight rows of 16-bit activations by the outputs of one Q8_0 panel. A result is summed as in <see cref="ByteTile{TS,TV,TF}"/>:
/// whole numbers over a block of 32 columns, then floats from left to right.
/// </summary>
internal readonly unsafe struct WordTile<TS, TV> : IPanelTile
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Vectors of a block: four columns each.
    private const int Vectors = Panel.BlockColumns / 4;

    // Bytes of four columns' activations.
    private const int QuadBytes = 4 * sizeof(short);

    /// <inheritdoc/>
    public static int ActivationBytes => WordActivations.BlockBytes;

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes)
    {
        TV a0 = Begin(y, resumes);
        int spanBytes = PanelPacker<PanelQ8>.SpanBytes;
        for (; blocks > 0; blocks -= PanelQ8.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + PanelQ8.SpanScaleBytes;
            CachePrefetch.Beyond(span, PanelQ8.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, PanelQ8.SpanBlocks); i++, codes += PanelQ8.BlockCodeBytes)
            {
                CachePrefetch.Beyond(codes, PanelQ8.BlockCodeBytes);
                TV i0 = TS.Splat(0), i1 = i0;
                for (int v = 0; v < Vectors; v += 2, x += 2 * QuadBytes)
                {
                    Split(codes, v, lane, out TV even, out TV odd);
                    i0 = Add(i0, even, odd, x);
                    Split(codes, v + 1, lane, out even, out odd);
                    i1 = Add(i1, even, odd, x + QuadBytes);
                }

                a0 = TS.MultiplyAdd(TS.IntegersToFloat(TS.AddIntegers(i0, i1)), Scale(span, i, lane), a0);
            }
        }

        TS.Store(y, a0);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes);
        int spanBytes = PanelPacker<PanelQ8>.SpanBytes;
        for (; blocks > 0; blocks -= PanelQ8.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + PanelQ8.SpanScaleBytes;
            CachePrefetch.Beyond(span, PanelQ8.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, PanelQ8.SpanBlocks); i++, codes += PanelQ8.BlockCodeBytes, x += WordActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, PanelQ8.BlockCodeBytes);
                TV i0 = TS.Splat(0), i1 = i0;
                for (int v = 0; v < Vectors; v++, x += QuadBytes)
                {
                    Split(codes, v, lane, out TV even, out TV odd);
                    i0 = Add(i0, even, odd, x);
                    i1 = Add(i1, even, odd, x + WordActivations.BlockBytes);
                }

                TV scale = Scale(span, i, lane);
                a0 = TS.MultiplyAdd(TS.IntegersToFloat(i0), scale, a0);
                a1 = TS.MultiplyAdd(TS.IntegersToFloat(i1), scale, a1);
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
        int spanBytes = PanelPacker<PanelQ8>.SpanBytes;
        for (; blocks > 0; blocks -= PanelQ8.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + PanelQ8.SpanScaleBytes;
            CachePrefetch.Beyond(span, PanelQ8.SpanScaleBytes);
            for (int i = 0; i < Math.Min(blocks, PanelQ8.SpanBlocks); i++, codes += PanelQ8.BlockCodeBytes, x += 3 * WordActivations.BlockBytes)
            {
                CachePrefetch.Beyond(codes, PanelQ8.BlockCodeBytes);
                TV i0 = TS.Splat(0), i1 = i0, i2 = i0, i3 = i0;
                for (int v = 0; v < Vectors; v++, x += QuadBytes)
                {
                    Split(codes, v, lane, out TV even, out TV odd);
                    i0 = Add(i0, even, odd, x);
                    i1 = Add(i1, even, odd, x + WordActivations.BlockBytes);
                    i2 = Add(i2, even, odd, x + (2 * WordActivations.BlockBytes));
                    i3 = Add(i3, even, odd, x + (3 * WordActivations.BlockBytes));
                }

                TV scale = Scale(span, i, lane);
                a0 = TS.MultiplyAdd(TS.IntegersToFloat(i0), scale, a0);
                a1 = TS.MultiplyAdd(TS.IntegersToFloat(i1), scale, a1);
                a2 = TS.MultiplyAdd(TS.IntegersToFloat(i2), scale, a2);
                a3 = TS.MultiplyAdd(TS.IntegersToFloat(i3), scale, a3);
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
        int spanBytes = PanelPacker<PanelQ8>.SpanBytes;
        for (; blocks > 0; blocks -= PanelQ8.SpanBlocks, span += spanBytes)
        {
            byte* codes = span + PanelQ8.SpanScaleBytes;
            for (int i = 0; i < Math.Min(blocks, PanelQ8.SpanBlocks); i++, codes += PanelQ8.BlockCodeBytes, x += 7 * WordActivations.BlockBytes)
            {
                TV i0 = TS.Splat(0), i1 = i0, i2 = i0, i3 = i0, i4 = i0, i5 = i0, i6 = i0, i7 = i0;
                for (int v = 0; v < Vectors; v++, x += QuadBytes)
                {
                    Split(codes, v, lane, out TV even, out TV odd);
                    i0 = Add(i0, even, odd, x);
                    i1 = Add(i1, even, odd, x + WordActivations.BlockBytes);
                    i2 = Add(i2, even, odd, x + (2 * WordActivations.BlockBytes));
                    i3 = Add(i3, even, odd, x + (3 * WordActivations.BlockBytes));
                    i4 = Add(i4, even, odd, x + (4 * WordActivations.BlockBytes));
                    i5 = Add(i5, even, odd, x + (5 * WordActivations.BlockBytes));
                    i6 = Add(i6, even, odd, x + (6 * WordActivations.BlockBytes));
                    i7 = Add(i7, even, odd, x + (7 * WordActivations.BlockBytes));
                }

                TV scale = Scale(span, i, lane);
                a0 = TS.MultiplyAdd(TS.IntegersToFloat(i0), scale, a0);
                a1 = TS.MultiplyAdd(TS.IntegersToFloat(i1), scale, a1);
                a2 = TS.MultiplyAdd(TS.IntegersToFloat(i2), scale, a2);
                a3 = TS.MultiplyAdd(TS.IntegersToFloat(i3), scale, a3);
                a4 = TS.MultiplyAdd(TS.IntegersToFloat(i4), scale, a4);
                a5 = TS.MultiplyAdd(TS.IntegersToFloat(i5), scale, a5);
                a6 = TS.MultiplyAdd(TS.IntegersToFloat(i6), scale, a6);
                a7 = TS.MultiplyAdd(TS.IntegersToFloat(i7), scale, a7);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Scale(byte* span, int i, int lane) => TS.LoadScale((ushort*)span + (i * Panel.Outputs) + lane);

    // The first and third of four columns' bytes as words, and the second and fourth.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(byte* codes, int vector, int lane, out TV even, out TV odd)
    {
        TV bytes = PanelLanes.Load<TS, TV>(codes, vector, lane);
        even = TS.ShiftSignedWordsRight(TS.ShiftWordsLeft(bytes, 8), 8);
        odd = TS.ShiftSignedWordsRight(bytes, 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Add(TV sum, TV even, TV odd, byte* x) => TS.AddIntegers(
        sum, TS.AddIntegers(TS.MultiplyWordsAddPairs(even, TS.SplatPair(x)), TS.MultiplyWordsAddPairs(odd, TS.SplatPair(x + (QuadBytes / 2)))));
}
