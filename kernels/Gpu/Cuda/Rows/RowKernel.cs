using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Rows;

/// <summary>
/// Makes a row ready for the tensor cores, in one pass over the residual stream or the gate: RMSNorm or SwiGLU or nothing, then 16 bits in
/// the order of <see cref="ActivationLayout"/>.
/// </summary>
internal static class RowKernel
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = 256;

    private const int Warps = Threads / 32;
    private const int Run = 8;

    /// <summary>Grid: a group for every row.</summary>
    public static void Run16<TSource, TFormat>(RowParameters parameters)
        where TSource : struct, IRowSource
        where TFormat : struct, IActivationFormat
    {
        uint shared = Ptx.SharedMemory(2 * Warps * sizeof(float));
        int row = Grid.IdxX, runs = parameters.Columns / Run;
        ulong input = parameters.Input + ((ulong)(uint)row * (uint)parameters.Columns * sizeof(float));
        float largest = 0, squares = 0;
        for (int run = Group.IdxX; run < runs; run += Threads)
        {
            for (int column = run * Run; column < (run + 1) * Run; column += 4)
            {
                Sums x = Ptx.LoadFloats(input + (uint)(column * sizeof(float)));
                largest = Ptx.Max(largest, Largest(TSource.Apply(x, parameters, row, column)));
                if (TSource.IsNormed)
                    squares = AddSquares(squares, x);
            }
        }

        // The group's results of all warps: first the largest elements, then the sums of squares.
        largest = WarpLargest(largest);
        squares = WarpSum(squares);
        int warp = Group.IdxX / 32;
        if (Group.IdxX % 32 == 0)
        {
            Ptx.StoreSharedFloat(shared + (uint)(warp * sizeof(float)), largest);
            Ptx.StoreSharedFloat(shared + (uint)((Warps + warp) * sizeof(float)), squares);
        }

        Group.Barrier();
        largest = 0;
        squares = 0;
        for (uint i = 0; i < Warps; i++)
        {
            largest = Ptx.Max(largest, Ptx.LoadSharedFloat(shared + (i * sizeof(float))));
            squares = Ptx.Add(squares, Ptx.LoadSharedFloat(shared + ((Warps + i) * sizeof(float))));
        }

        float norm = 1;
        if (TSource.IsNormed)
            norm = Ptx.Divide(1, Ptx.SquareRoot(Ptx.Add(Ptx.Divide(squares, parameters.Columns), parameters.Epsilon)));
        float factor = TFormat.FactorFor(Ptx.Multiply(largest, norm));
        if (Group.IdxX == 0)
            Ptx.Store(parameters.RowScales + (uint)(row * sizeof(float)), Ptx.Divide(1, factor));

        for (int run = Group.IdxX; run < runs; run += Threads)
        {
            int column = run * Run;
            Sums low = TSource.Apply(Ptx.LoadFloats(input + (uint)(column * sizeof(float))), parameters, row, column);
            Sums high = TSource.Apply(Ptx.LoadFloats(input + (uint)((column + 4) * sizeof(float))), parameters, row, column + 4);
            U4 packed;
            packed.X = Pack<TFormat>(low.X, low.Y, norm, factor);
            packed.Y = Pack<TFormat>(low.Z, low.W, norm, factor);
            packed.Z = Pack<TFormat>(high.X, high.Y, norm, factor);
            packed.W = Pack<TFormat>(high.Z, high.W, norm, factor);
            Ptx.Store16(parameters.Activations + Place(parameters.Columns, row, column), packed);
        }
    }

    // Where the 8 elements from this column on go.
    private static ulong Place(int columns, int row, int column)
    {
        int tile = column / TileLayout.Columns, quarter = column % TileLayout.Columns / TileLayout.LaneColumns;
        int slab = column % TileLayout.LaneColumns / Run, lane = (row % ActivationLayout.GroupRows * 4) + quarter;
        int piece = (((row / ActivationLayout.GroupRows * (columns / TileLayout.Columns)) + tile) * ActivationLayout.Slabs) + slab;
        return ((ulong)(uint)piece * ActivationLayout.SlabBytes) + (uint)(lane * 16);
    }

    private static uint Pack<TFormat>(float low, float high, float norm, float factor)
        where TFormat : struct, IActivationFormat =>
        TFormat.Pack(Ptx.Multiply(Ptx.Multiply(low, norm), factor), Ptx.Multiply(Ptx.Multiply(high, norm), factor));

    private static float Largest(Sums x) =>
        Ptx.Max(Ptx.Max(Magnitude(x.X), Magnitude(x.Y)), Ptx.Max(Magnitude(x.Z), Magnitude(x.W)));

    private static float Magnitude(float x) => Bits.IntAsFloat(Bits.FloatAsInt(x) & 0x7FFFFFFF);

    private static float AddSquares(float sum, Sums x) => Ptx.Fma(x.W, x.W, Ptx.Fma(x.Z, x.Z, Ptx.Fma(x.Y, x.Y, Ptx.Fma(x.X, x.X, sum))));

    private static float WarpLargest(float x)
    {
        float y = Ptx.Max(x, Ptx.Exchange(x, 16));
        y = Ptx.Max(y, Ptx.Exchange(y, 8));
        y = Ptx.Max(y, Ptx.Exchange(y, 4));
        y = Ptx.Max(y, Ptx.Exchange(y, 2));
        return Ptx.Max(y, Ptx.Exchange(y, 1));
    }

    private static float WarpSum(float x)
    {
        float y = Ptx.Add(x, Ptx.Exchange(x, 16));
        y = Ptx.Add(y, Ptx.Exchange(y, 8));
        y = Ptx.Add(y, Ptx.Exchange(y, 4));
        y = Ptx.Add(y, Ptx.Exchange(y, 2));
        return Ptx.Add(y, Ptx.Exchange(y, 1));
    }
}
