using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>
/// Dot products of quantized weight rows with activation rows of words, several at once. Whatever the tile, one product is summed the
/// same way: whole numbers inside a block's four lanes, exactly; those times the block's factor into a vector of floats, less the minimum times
/// the activations' sum where there are minima, from left to right; then <see cref="ILanes{TV}.Sum"/>, times the row's scale. So a result's bits do not depend on the tile that computed it. A tile at an
/// edge repeats its last row and drops those results.
/// </summary>
internal static unsafe class WordTile<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Most weight rows of a tile.</summary>
    public const int Outputs = 2;

    /// <summary>Most activation rows of a tile.</summary>
    public const int Rows = 4;

    /// <summary>One activation row by weight rows of whole groups, each after the other: the weights are read as one stream.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneRow<TL>(byte* weights, long stride, int outputs, float* x, float scale, int groups, float* y)
        where TL : struct, IWordLoader
    {
        for (int o = 0; o < outputs; o++, weights += stride)
        {
            TV sum = TS.Splat(0);
            float* at = x;
            for (int group = 0; group < groups; group++, at += WordGroup<TS, TV>.ActivationFloats)
            {
                TL.Load<TS, TV>(weights, group, out TV a, out TV b, out TV c, out TV d, out TV factor, out TV min);
                sum = TS.MultiplyAdd(
                    Dot(a, b, c, d, TS.Load(at), TS.Load(at + TS.Count), TS.Load(at + (2 * TS.Count)), TS.Load(at + (3 * TS.Count))), factor, sum);
                if (TL.HasMin)
                    sum = TS.Subtract(sum, TS.Multiply(min, TS.Load(at + (4 * TS.Count))));
            }

            y[o] = TS.Sum(sum) * scale;
        }
    }

    /// <summary>Two activation rows by weight rows of whole groups, which are read as one stream and unpacked once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TwoRows<TL>(
        byte* weights, long stride, int outputs, float* x, long xStride, float* scales, int groups, float* y, long yStride)
        where TL : struct, IWordLoader
    {
        for (int o = 0; o < outputs; o++, weights += stride)
        {
            TV first = TS.Splat(0), second = first;
            float* at = x;
            for (int group = 0; group < groups; group++, at += WordGroup<TS, TV>.ActivationFloats)
            {
                float* next = at + xStride;
                TL.Load<TS, TV>(weights, group, out TV a, out TV b, out TV c, out TV d, out TV factor, out TV min);
                first = TS.MultiplyAdd(
                    Dot(a, b, c, d, TS.Load(at), TS.Load(at + TS.Count), TS.Load(at + (2 * TS.Count)), TS.Load(at + (3 * TS.Count))), factor, first);
                second = TS.MultiplyAdd(
                    Dot(a, b, c, d, TS.Load(next), TS.Load(next + TS.Count), TS.Load(next + (2 * TS.Count)), TS.Load(next + (3 * TS.Count))), factor, second);
                if (TL.HasMin)
                {
                    first = TS.Subtract(first, TS.Multiply(min, TS.Load(at + (4 * TS.Count))));
                    second = TS.Subtract(second, TS.Multiply(min, TS.Load(next + (4 * TS.Count))));
                }
            }

            y[o] = TS.Sum(first) * scales[0];
            y[yStride + o] = TS.Sum(second) * scales[1];
        }
    }

    /// <summary>Up to four activation rows by up to two weight rows of whole groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourRows<TL>(
        byte* weights, long stride, int outputs, float* x, long xStride, float* scales, int rows, int groups, float* y, long yStride)
        where TL : struct, IWordLoader
    {
        byte* w0 = weights;
        byte* w1 = weights + (stride * Math.Min(1, outputs - 1));
        float* x0 = x;
        float* x1 = x + (xStride * Math.Min(1, rows - 1));
        float* x2 = x + (xStride * Math.Min(2, rows - 1));
        float* x3 = x + (xStride * Math.Min(3, rows - 1));
        TV a00 = TS.Splat(0), a01 = a00, a10 = a00, a11 = a00;
        TV a20 = a00, a21 = a00, a30 = a00, a31 = a00;
        for (int group = 0; group < groups; group++)
        {
            TL.Load<TS, TV>(w0, group, out TV wa, out TV wb, out TV wc, out TV wd, out TV factor, out TV min);
            TL.Load<TS, TV>(w1, group, out TV va, out TV vb, out TV vc, out TV vd, out TV other, out TV otherMin);
            long at = group * (long)WordGroup<TS, TV>.ActivationFloats;
            TV xa = TS.Load(x0 + at), xb = TS.Load(x0 + at + TS.Count), xc = TS.Load(x0 + at + (2 * TS.Count)), xd = TS.Load(x0 + at + (3 * TS.Count));
            a00 = TS.MultiplyAdd(Dot(wa, wb, wc, wd, xa, xb, xc, xd), factor, a00);
            a01 = TS.MultiplyAdd(Dot(va, vb, vc, vd, xa, xb, xc, xd), other, a01);
            (xa, xb, xc, xd) = (TS.Load(x1 + at), TS.Load(x1 + at + TS.Count), TS.Load(x1 + at + (2 * TS.Count)), TS.Load(x1 + at + (3 * TS.Count)));
            a10 = TS.MultiplyAdd(Dot(wa, wb, wc, wd, xa, xb, xc, xd), factor, a10);
            a11 = TS.MultiplyAdd(Dot(va, vb, vc, vd, xa, xb, xc, xd), other, a11);
            (xa, xb, xc, xd) = (TS.Load(x2 + at), TS.Load(x2 + at + TS.Count), TS.Load(x2 + at + (2 * TS.Count)), TS.Load(x2 + at + (3 * TS.Count)));
            a20 = TS.MultiplyAdd(Dot(wa, wb, wc, wd, xa, xb, xc, xd), factor, a20);
            a21 = TS.MultiplyAdd(Dot(va, vb, vc, vd, xa, xb, xc, xd), other, a21);
            (xa, xb, xc, xd) = (TS.Load(x3 + at), TS.Load(x3 + at + TS.Count), TS.Load(x3 + at + (2 * TS.Count)), TS.Load(x3 + at + (3 * TS.Count)));
            a30 = TS.MultiplyAdd(Dot(wa, wb, wc, wd, xa, xb, xc, xd), factor, a30);
            a31 = TS.MultiplyAdd(Dot(va, vb, vc, vd, xa, xb, xc, xd), other, a31);
            if (TL.HasMin)
            {
                TV s0 = TS.Load(x0 + at + (4 * TS.Count));
                a00 = TS.Subtract(a00, TS.Multiply(min, s0));
                a01 = TS.Subtract(a01, TS.Multiply(otherMin, s0));
                TV s1 = TS.Load(x1 + at + (4 * TS.Count));
                a10 = TS.Subtract(a10, TS.Multiply(min, s1));
                a11 = TS.Subtract(a11, TS.Multiply(otherMin, s1));
                TV s2 = TS.Load(x2 + at + (4 * TS.Count));
                a20 = TS.Subtract(a20, TS.Multiply(min, s2));
                a21 = TS.Subtract(a21, TS.Multiply(otherMin, s2));
                TV s3 = TS.Load(x3 + at + (4 * TS.Count));
                a30 = TS.Subtract(a30, TS.Multiply(min, s3));
                a31 = TS.Subtract(a31, TS.Multiply(otherMin, s3));
            }
        }

        Store(y, outputs, scales[0], a00, a01);
        if (rows > 1)
            Store(y + yStride, outputs, scales[1], a10, a11);
        if (rows > 2)
            Store(y + (2 * yStride), outputs, scales[2], a20, a21);
        if (rows > 3)
            Store(y + (3 * yStride), outputs, scales[3], a30, a31);
    }

    /// <summary>Unpacks a weight row for <see cref="FourRows"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack<TL>(byte* row, int columns, float* panel)
        where TL : struct, IWordLoader
    {
        int whole = columns / WordGroup<TS, TV>.Columns;
        for (int group = 0; group < whole; group++, panel += WordGroup<TS, TV>.PanelFloats)
            UnpackGroup<TL>(row, group, panel);
        if (whole * WordGroup<TS, TV>.Columns < columns)
        {
            byte* rest = stackalloc byte[TL.BlockBytes * WordGroup<TS, TV>.Blocks];
            UnpackGroup<TL>(Rest<TL>(row, columns, rest), 0, panel);
        }
    }

    // The last blocks of a row that are no whole group, followed by blocks with a factor of zero: beyond the row nothing may be read.
    private static byte* Rest<TL>(byte* row, int columns, byte* rest)
        where TL : struct, IWordLoader
    {
        int blocks = columns / WordGroup<TS, TV>.BlockColumns, group = WordGroup<TS, TV>.Blocks, count = blocks % group;
        Unsafe.InitBlockUnaligned(rest, 0, (uint)(TL.BlockBytes * group));
        Unsafe.CopyBlockUnaligned(rest, row + ((blocks - count) * (long)TL.BlockBytes), (uint)(count * TL.BlockBytes));
        return rest;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void UnpackGroup<TL>(byte* row, int group, float* panel)
        where TL : struct, IWordLoader
    {
        TL.Load<TS, TV>(row, group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min);
        TS.Store(panel, a);
        TS.Store(panel + TS.Count, b);
        TS.Store(panel + (2 * TS.Count), c);
        TS.Store(panel + (3 * TS.Count), d);
        TS.Store(panel + (4 * TS.Count), scale);
        if (TL.HasMin)
            TS.Store(panel + (5 * TS.Count), min);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Dot(TV a, TV b, TV c, TV d, TV xa, TV xb, TV xc, TV xd) =>
        TS.IntegersToFloat(TS.AddIntegers(
            TS.AddIntegers(TS.MultiplyWordsAddPairs(a, xa), TS.MultiplyWordsAddPairs(b, xb)),
            TS.AddIntegers(TS.MultiplyWordsAddPairs(c, xc), TS.MultiplyWordsAddPairs(d, xd))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, int outputs, float scale, TV a0, TV a1)
    {
        y[0] = TS.Sum(a0) * scale;
        if (outputs > 1)
            y[1] = TS.Sum(a1) * scale;
    }
}
