using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Dot products of weight rows with activation rows, several at once, over whole vectors of columns. Whatever the tile, one product is
/// summed the same way: a vector accumulator takes the columns from left to right, then <see cref="ILanes{TV}.Sum"/> adds its lanes. So
/// a result's bits do not depend on the tile that computed it. A tile at an edge repeats its last row and drops those results.
/// </summary>
internal static unsafe class DotTile<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Most weight rows of a tile.</summary>
    public const int Outputs = 4;

    /// <summary>Most activation rows of a tile.</summary>
    public const int Rows = 4;

    // Bytes beyond which what was asked for would leave the first-level cache before it is used.
    private const long MostAhead = 16 * 1024;

    /// <summary>One activation row by up to four weight rows.</summary>
    [MethodImpl(Jit.Alone)]
    public static void OneRow<TL>(byte* weights, long weightStride, int outputs, float* x, int columns, float* y)
        where TL : struct, IElementLoader
    {
        byte* w0 = weights;
        byte* w1 = weights + (weightStride * Math.Min(1, outputs - 1));
        byte* w2 = weights + (weightStride * Math.Min(2, outputs - 1));
        byte* w3 = weights + (weightStride * Math.Min(3, outputs - 1));
        TV a0 = TS.Splat(0), a1 = a0, a2 = a0, a3 = a0;

        // The same place in the next four rows, or further on in these where rows are long.
        long ahead = weightStride * Outputs <= MostAhead ? weightStride * Outputs : CachePrefetch.Distance;
        int i = 0, bytes = 2 * TS.Count * TL.ElementBytes;
        for (; i + (2 * TS.Count) <= columns; i += 2 * TS.Count, ahead += bytes)
        {
            CachePrefetch.At(w0 + ahead, bytes);
            CachePrefetch.At(w1 + ahead, bytes);
            CachePrefetch.At(w2 + ahead, bytes);
            CachePrefetch.At(w3 + ahead, bytes);
            TV v = TS.Load(x + i), u = TS.Load(x + i + TS.Count);
            a0 = TS.MultiplyAdd(TL.Load<TS, TV>(w0, i), v, a0);
            a1 = TS.MultiplyAdd(TL.Load<TS, TV>(w1, i), v, a1);
            a2 = TS.MultiplyAdd(TL.Load<TS, TV>(w2, i), v, a2);
            a3 = TS.MultiplyAdd(TL.Load<TS, TV>(w3, i), v, a3);
            a0 = TS.MultiplyAdd(TL.Load<TS, TV>(w0, i + TS.Count), u, a0);
            a1 = TS.MultiplyAdd(TL.Load<TS, TV>(w1, i + TS.Count), u, a1);
            a2 = TS.MultiplyAdd(TL.Load<TS, TV>(w2, i + TS.Count), u, a2);
            a3 = TS.MultiplyAdd(TL.Load<TS, TV>(w3, i + TS.Count), u, a3);
        }

        if (i < columns)
        {
            TV v = TS.Load(x + i);
            a0 = TS.MultiplyAdd(TL.Load<TS, TV>(w0, i), v, a0);
            a1 = TS.MultiplyAdd(TL.Load<TS, TV>(w1, i), v, a1);
            a2 = TS.MultiplyAdd(TL.Load<TS, TV>(w2, i), v, a2);
            a3 = TS.MultiplyAdd(TL.Load<TS, TV>(w3, i), v, a3);
        }

        Store(y, outputs, a0, a1, a2, a3);
    }

    /// <summary>Up to four activation rows by up to four decoded weight rows.</summary>
    [MethodImpl(Jit.Alone)]
    public static void FourRows(
        float* weights, long weightStride, int outputs, float* x, long xStride, int rows, int columns, float* y, long yStride)
    {
        float* w0 = weights;
        float* w1 = weights + (weightStride * Math.Min(1, outputs - 1));
        float* w2 = weights + (weightStride * Math.Min(2, outputs - 1));
        float* w3 = weights + (weightStride * Math.Min(3, outputs - 1));
        float* x0 = x;
        float* x1 = x + (xStride * Math.Min(1, rows - 1));
        float* x2 = x + (xStride * Math.Min(2, rows - 1));
        float* x3 = x + (xStride * Math.Min(3, rows - 1));
        TV a00 = TS.Splat(0), a01 = a00, a02 = a00, a03 = a00;
        TV a10 = a00, a11 = a00, a12 = a00, a13 = a00;
        TV a20 = a00, a21 = a00, a22 = a00, a23 = a00;
        TV a30 = a00, a31 = a00, a32 = a00, a33 = a00;
        for (int i = 0; i < columns; i += TS.Count)
        {
            TV v0 = TS.Load(x0 + i), v1 = TS.Load(x1 + i), v2 = TS.Load(x2 + i), v3 = TS.Load(x3 + i);
            TV w = TS.Load(w0 + i);
            a00 = TS.MultiplyAdd(w, v0, a00);
            a10 = TS.MultiplyAdd(w, v1, a10);
            a20 = TS.MultiplyAdd(w, v2, a20);
            a30 = TS.MultiplyAdd(w, v3, a30);
            w = TS.Load(w1 + i);
            a01 = TS.MultiplyAdd(w, v0, a01);
            a11 = TS.MultiplyAdd(w, v1, a11);
            a21 = TS.MultiplyAdd(w, v2, a21);
            a31 = TS.MultiplyAdd(w, v3, a31);
            w = TS.Load(w2 + i);
            a02 = TS.MultiplyAdd(w, v0, a02);
            a12 = TS.MultiplyAdd(w, v1, a12);
            a22 = TS.MultiplyAdd(w, v2, a22);
            a32 = TS.MultiplyAdd(w, v3, a32);
            w = TS.Load(w3 + i);
            a03 = TS.MultiplyAdd(w, v0, a03);
            a13 = TS.MultiplyAdd(w, v1, a13);
            a23 = TS.MultiplyAdd(w, v2, a23);
            a33 = TS.MultiplyAdd(w, v3, a33);
        }

        Store(y, outputs, a00, a01, a02, a03);
        if (rows > 1)
            Store(y + yStride, outputs, a10, a11, a12, a13);
        if (rows > 2)
            Store(y + (2 * yStride), outputs, a20, a21, a22, a23);
        if (rows > 3)
            Store(y + (3 * yStride), outputs, a30, a31, a32, a33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, int outputs, TV a0, TV a1, TV a2, TV a3)
    {
        y[0] = TS.Sum(a0);
        if (outputs > 1)
            y[1] = TS.Sum(a1);
        if (outputs > 2)
            y[2] = TS.Sum(a2);
        if (outputs > 3)
            y[3] = TS.Sum(a3);
    }
}
