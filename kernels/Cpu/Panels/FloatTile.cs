using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Up to eight rows of float32 activations by the outputs of one panel of plain numbers. Whatever the tile, a result is the sum over the
/// columns from left to right, in a lane of its own.
/// </summary>
internal readonly unsafe struct FloatTile<TS, TV, TL> : IPanelTile
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TL : struct, IElementLoader
{
    /// <inheritdoc/>
    public static int ActivationBytes => FloatActivations.BlockBytes;

    // Bytes from a column of the panel to the next.
    private static int ColumnBytes => Panel.Outputs * TL.ElementBytes;

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes)
    {
        TV a0 = Begin(y, resumes);
        byte* weights = span + (lane * TL.ElementBytes);
        var values = (float*)x;
        for (; blocks > 0; blocks--)
        {
            CachePrefetch.Beyond(weights, Panel.BlockColumns * ColumnBytes);
            for (byte* end = weights + (Panel.BlockColumns * ColumnBytes); weights < end; weights += ColumnBytes, values++)
            {
                TV w = TL.Load<TS, TV>(weights, 0);
                a0 = TS.MultiplyAdd(w, TS.Splat(*values), a0);
            }
        }

        TS.Store(y, a0);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes);
        byte* weights = span + (lane * TL.ElementBytes);
        var values = (float*)x;
        for (; blocks > 0; blocks--, values += Panel.BlockColumns)
        {
            CachePrefetch.Beyond(weights, Panel.BlockColumns * ColumnBytes);
            for (byte* end = weights + (Panel.BlockColumns * ColumnBytes); weights < end; weights += ColumnBytes, values++)
            {
                TV w = TL.Load<TS, TV>(weights, 0);
                a0 = TS.MultiplyAdd(w, TS.Splat(*values), a0);
                a1 = TS.MultiplyAdd(w, TS.Splat(values[Panel.BlockColumns]), a1);
            }
        }

        TS.Store(y, a0);
        TS.Store(y + yStride, a1);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Four(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes), a2 = Begin(y + (2 * yStride), resumes), a3 = Begin(y + (3 * yStride), resumes);
        byte* weights = span + (lane * TL.ElementBytes);
        var values = (float*)x;
        for (; blocks > 0; blocks--, values += 3 * Panel.BlockColumns)
        {
            CachePrefetch.Beyond(weights, Panel.BlockColumns * ColumnBytes);
            for (byte* end = weights + (Panel.BlockColumns * ColumnBytes); weights < end; weights += ColumnBytes, values++)
            {
                TV w = TL.Load<TS, TV>(weights, 0);
                a0 = TS.MultiplyAdd(w, TS.Splat(*values), a0);
                a1 = TS.MultiplyAdd(w, TS.Splat(values[Panel.BlockColumns]), a1);
                a2 = TS.MultiplyAdd(w, TS.Splat(values[2 * Panel.BlockColumns]), a2);
                a3 = TS.MultiplyAdd(w, TS.Splat(values[3 * Panel.BlockColumns]), a3);
            }
        }

        TS.Store(y, a0);
        TS.Store(y + yStride, a1);
        TS.Store(y + (2 * yStride), a2);
        TS.Store(y + (3 * yStride), a3);
    }

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Eight(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes)
    {
        TV a0 = Begin(y, resumes), a1 = Begin(y + yStride, resumes), a2 = Begin(y + (2 * yStride), resumes), a3 = Begin(y + (3 * yStride), resumes);
        TV a4 = Begin(y + (4 * yStride), resumes), a5 = Begin(y + (5 * yStride), resumes), a6 = Begin(y + (6 * yStride), resumes), a7 = Begin(y + (7 * yStride), resumes);
        byte* weights = span + (lane * TL.ElementBytes);
        var values = (float*)x;
        for (; blocks > 0; blocks--, values += 7 * Panel.BlockColumns)
        {
            CachePrefetch.Beyond(weights, Panel.BlockColumns * ColumnBytes);
            for (byte* end = weights + (Panel.BlockColumns * ColumnBytes); weights < end; weights += ColumnBytes, values++)
            {
                TV w = TL.Load<TS, TV>(weights, 0);
                a0 = TS.MultiplyAdd(w, TS.Splat(*values), a0);
                a1 = TS.MultiplyAdd(w, TS.Splat(values[Panel.BlockColumns]), a1);
                a2 = TS.MultiplyAdd(w, TS.Splat(values[2 * Panel.BlockColumns]), a2);
                a3 = TS.MultiplyAdd(w, TS.Splat(values[3 * Panel.BlockColumns]), a3);
                a4 = TS.MultiplyAdd(w, TS.Splat(values[4 * Panel.BlockColumns]), a4);
                a5 = TS.MultiplyAdd(w, TS.Splat(values[5 * Panel.BlockColumns]), a5);
                a6 = TS.MultiplyAdd(w, TS.Splat(values[6 * Panel.BlockColumns]), a6);
                a7 = TS.MultiplyAdd(w, TS.Splat(values[7 * Panel.BlockColumns]), a7);
            }
        }

        TS.Store(y, a0);
        TS.Store(y + yStride, a1);
        TS.Store(y + (2 * yStride), a2);
        TS.Store(y + (3 * yStride), a3);
        TS.Store(y + (4 * yStride), a4);
        TS.Store(y + (5 * yStride), a5);
        TS.Store(y + (6 * yStride), a6);
        TS.Store(y + (7 * yStride), a7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Begin(float* y, bool resumes) => resumes ? TS.Load(y) : TS.Splat(0);
}
