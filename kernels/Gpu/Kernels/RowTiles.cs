using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>
/// The sums of a few input rows by four outputs, as one lane holds them: registers, so their number is part of the type.
/// </summary>
internal interface IRowTile<TSelf>
    where TSelf : struct, IRowTile<TSelf>
{
    /// <summary>Rows of the tile.</summary>
    static abstract int Count { get; }

    /// <summary>A tile of zeros over the rows from <paramref name="firstRow"/> on; rows after the last stand for the last.</summary>
    static abstract TSelf Start(int firstRow, int lastRow, int stride);

    /// <summary>Adds the products of four columns with the weights of four outputs.</summary>
    static abstract TSelf Add(TSelf tile, F4 a, F4 b, F4 c, F4 d, ArrayView<F4> input, int column);

    /// <summary>Stores the sums, row by row, each sum <see cref="LaneSums.Stride"/> after the one before.</summary>
    static abstract void Put(TSelf tile, ArrayView<float> slots, int first);

    /// <summary>Sums over the lanes and stores the rows that exist. All threads of the group take part.</summary>
    static abstract void Finish(TSelf tile, LinearOutput output, int firstRow);
}

/// <summary>One row.</summary>
internal struct OneRow : IRowTile<OneRow>
{
    private float _a;
    private float _b;
    private float _c;
    private float _d;
    private int _base;

    public static int Count => 1;

    public static OneRow Start(int firstRow, int lastRow, int stride)
    {
        OneRow tile = default;
        tile._base = IntrinsicMath.Min(firstRow, lastRow) * stride;
        return tile;
    }

    public static OneRow Add(OneRow tile, F4 a, F4 b, F4 c, F4 d, ArrayView<F4> input, int column)
    {
        F4 x = input[tile._base + column];
        tile._a = Dot(a, x, tile._a);
        tile._b = Dot(b, x, tile._b);
        tile._c = Dot(c, x, tile._c);
        tile._d = Dot(d, x, tile._d);
        return tile;
    }

    public static void Put(OneRow tile, ArrayView<float> slots, int first)
    {
        slots[first] = tile._a;
        slots[first + LaneSums.Stride] = tile._b;
        slots[first + (2 * LaneSums.Stride)] = tile._c;
        slots[first + (3 * LaneSums.Stride)] = tile._d;
    }

    public static void Finish(OneRow tile, LinearOutput output, int firstRow) => LaneSums.Finish(tile, output, firstRow);

    private static float Dot(F4 w, F4 x, float sum) => Fused.MultiplyAdd(
        w.W, x.W, Fused.MultiplyAdd(w.Z, x.Z, Fused.MultiplyAdd(w.Y, x.Y, Fused.MultiplyAdd(w.X, x.X, sum))));
}

/// <summary>Two tiles, one after the other.</summary>
internal struct Twice<TTile> : IRowTile<Twice<TTile>>
    where TTile : struct, IRowTile<TTile>
{
    private TTile _first;
    private TTile _second;

    public static int Count => 2 * TTile.Count;

    public static Twice<TTile> Start(int firstRow, int lastRow, int stride)
    {
        Twice<TTile> tile;
        tile._first = TTile.Start(firstRow, lastRow, stride);
        tile._second = TTile.Start(firstRow + TTile.Count, lastRow, stride);
        return tile;
    }

    public static Twice<TTile> Add(Twice<TTile> tile, F4 a, F4 b, F4 c, F4 d, ArrayView<F4> input, int column)
    {
        tile._first = TTile.Add(tile._first, a, b, c, d, input, column);
        tile._second = TTile.Add(tile._second, a, b, c, d, input, column);
        return tile;
    }

    public static void Put(Twice<TTile> tile, ArrayView<float> slots, int first)
    {
        TTile.Put(tile._first, slots, first);
        TTile.Put(tile._second, slots, first + (TTile.Count * LaneSums.OutputsPerWarp * LaneSums.Stride));
    }

    public static void Finish(Twice<TTile> tile, LinearOutput output, int firstRow)
    {
        if (Count <= LaneSums.RowsAtOnce)
        {
            LaneSums.Finish(tile, output, firstRow);
            return;
        }

        TTile.Finish(tile._first, output, firstRow);
        TTile.Finish(tile._second, output, firstRow + TTile.Count);
    }
}

/// <summary>Where a tile's results go.</summary>
internal struct LinearOutput
{
    /// <summary>The output tensor.</summary>
    public ArrayView<float> Values;

    /// <summary>Elements from row to row.</summary>
    public int Stride;

    /// <summary>Outputs of the matrix.</summary>
    public int Outputs;

    /// <summary>Rows of the input.</summary>
    public int Rows;

    /// <summary>The first of the warp's four outputs.</summary>
    public int First;
}

/// <summary>
/// Sums over a warp's lanes, through shared memory: no subgroup operations, which OpenCL devices have in many shapes or not at all, and a
/// tile's sums need fewer instructions this way than by shuffles. "Warp" here is 32 threads of the group, whatever the hardware's width.
/// </summary>
internal static class LaneSums
{
    /// <summary>Threads that share an output's columns.</summary>
    public const int Lanes = 32;

    /// <summary>Warps of a group.</summary>
    public const int Warps = 4;

    /// <summary>Outputs that a warp computes.</summary>
    public const int OutputsPerWarp = 4;

    /// <summary>Rows that go through shared memory at one time.</summary>
    public const int RowsAtOnce = 4;

    /// <summary>Floats from one sum's lanes to the next one's: one more than there are, so that reading them down meets every bank.</summary>
    public const int Stride = Lanes + 1;

    private const int WarpFloats = RowsAtOnce * OutputsPerWarp * Stride;

    /// <summary>Sums a tile of at most <see cref="RowsAtOnce"/> rows over the lanes, in one fixed order, and stores it.</summary>
    public static void Finish<TTile>(TTile tile, LinearOutput output, int firstRow)
        where TTile : struct, IRowTile<TTile>
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(Warps * WarpFloats);
        int lane = Group.IdxX & (Lanes - 1), slots = Group.IdxX / Lanes * WarpFloats;
        TTile.Put(tile, shared, slots + lane);
        Group.Barrier();
        if (lane < TTile.Count * OutputsPerWarp)
        {
            int row = firstRow + (lane / OutputsPerWarp), column = output.First + (lane % OutputsPerWarp);
            int from = slots + (lane * Stride);
            float a = 0, b = 0, c = 0, d = 0;
            for (int i = 0; i < Lanes; i += 4)
            {
                a += shared[from + i];
                b += shared[from + i + 1];
                c += shared[from + i + 2];
                d += shared[from + i + 3];
            }

            if (row < output.Rows && column < output.Outputs)
                output.Values[((long)row * output.Stride) + column] = (a + b) + (c + d);
        }

        Group.Barrier();
    }
}
