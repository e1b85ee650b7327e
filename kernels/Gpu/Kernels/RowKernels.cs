using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What the kernels over rows of fours take; each uses the views that it needs.</summary>
internal struct RowArgs
{
    public ArrayView<F4> First;
    public ArrayView<F4> Second;
    public ArrayView<F4> Output;

    /// <summary>The rows to gather, or where row indices go.</summary>
    public ArrayView<int> Indices;

    /// <summary>Fours from row to row, of all three.</summary>
    public int Stride;

    /// <summary>Elements of a row.</summary>
    public int Columns;

    public float Epsilon;
}

/// <summary>Operations on whole rows and single elements. Elements after a row's last are kept at zero.</summary>
internal static class RowKernels
{
    /// <summary>Threads of a group.</summary>
    public const int GroupSize = 256;

    /// <summary>RMSNorm of <c>First</c> by the gain in <c>Second</c>. Grid: rows.</summary>
    public static readonly KernelEntry<RowArgs> RmsNorm = new(Traits("rmsnorm"), NormRow);

    /// <summary><c>silu(First) * Second</c>. Grid: (row fours / group size, rows), as for the next two.</summary>
    public static readonly KernelEntry<RowArgs> SwiGlu = new(Traits("swiglu"), SwiGluFour);

    /// <summary><c>Output += First</c>.</summary>
    public static readonly KernelEntry<RowArgs> Add = new(Traits("add"), AddFour);

    /// <summary>Row i of the output is row <c>Indices[i]</c> of <c>First</c>.</summary>
    public static readonly KernelEntry<RowArgs> Gather = new(Traits("gather"), GatherFour);

    /// <summary>The index of each row's largest element goes to <c>Indices</c>, the lowest of equals; NaNs are passed over. Grid: rows.</summary>
    public static readonly KernelEntry<RowArgs> ArgMax = new(Traits("argmax"), ArgMaxRow);

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => [RmsNorm, SwiGlu, Add, Gather, ArgMax];

    private static void NormRow(RowArgs args)
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(GroupSize);
        long first = (long)Grid.IdxX * args.Stride;
        float sum = 0;
        for (int i = Group.IdxX; i < args.Stride; i += GroupSize)
        {
            F4 x = args.First[first + i];
            sum = Fused.MultiplyAdd(x.W, x.W, Fused.MultiplyAdd(x.Z, x.Z, Fused.MultiplyAdd(x.Y, x.Y, Fused.MultiplyAdd(x.X, x.X, sum))));
        }

        sums[Group.IdxX] = sum;
        Group.Barrier();
        for (int half = GroupSize / 2; half > 0; half >>= 1)
        {
            if (Group.IdxX < half)
                sums[Group.IdxX] += sums[Group.IdxX + half];
            Group.Barrier();
        }

        float scale = 1f / MathF.Sqrt((sums[0] / args.Columns) + args.Epsilon);
        for (int i = Group.IdxX; i < args.Stride; i += GroupSize)
        {
            F4 x = args.First[first + i], gain = args.Second[i];
            F4 y = F4.Of(x.X * scale * gain.X, x.Y * scale * gain.Y, x.Z * scale * gain.Z, x.W * scale * gain.W);
            args.Output[first + i] = Within(y, i, args.Columns);
        }
    }

    private static void SwiGluFour(RowArgs args)
    {
        int i = (Grid.IdxX * GroupSize) + Group.IdxX;
        if (i >= args.Stride)
            return;
        long at = ((long)Grid.IdxY * args.Stride) + i;
        F4 gate = args.First[at], up = args.Second[at];
        F4 y = F4.Of(Glu(gate.X, up.X), Glu(gate.Y, up.Y), Glu(gate.Z, up.Z), Glu(gate.W, up.W));
        args.Output[at] = Within(y, i, args.Columns);
    }

    private static void AddFour(RowArgs args)
    {
        int i = (Grid.IdxX * GroupSize) + Group.IdxX;
        if (i >= args.Stride)
            return;
        long at = ((long)Grid.IdxY * args.Stride) + i;
        F4 a = args.Output[at], b = args.First[at];
        args.Output[at] = F4.Of(a.X + b.X, a.Y + b.Y, a.Z + b.Z, a.W + b.W);
    }

    private static void GatherFour(RowArgs args)
    {
        int i = (Grid.IdxX * GroupSize) + Group.IdxX;
        if (i < args.Stride)
            args.Output[((long)Grid.IdxY * args.Stride) + i] = args.First[((long)args.Indices[Grid.IdxY] * args.Stride) + i];
    }

    private static void ArgMaxRow(RowArgs args)
    {
        ArrayView<float> values = SharedMemory.Allocate<float>(GroupSize);
        ArrayView<int> places = SharedMemory.Allocate<int>(GroupSize);
        long first = (long)Grid.IdxX * args.Stride;
        float best = float.NegativeInfinity;
        int place = int.MaxValue;
        for (int i = Group.IdxX; 4 * i < args.Columns; i += GroupSize)
        {
            F4 x = args.First[first + i];
            for (int part = 0; part < 4; part++)
            {
                int column = (4 * i) + part;
                if (column < args.Columns && Precedes(x.X, column, best, place))
                {
                    best = x.X;
                    place = column;
                }

                x = F4.Of(x.Y, x.Z, x.W, x.X);
            }
        }

        values[Group.IdxX] = best;
        places[Group.IdxX] = place;
        Group.Barrier();
        for (int half = GroupSize / 2; half > 0; half >>= 1)
        {
            int other = Group.IdxX + half;
            if (Group.IdxX < half && Precedes(values[other], places[other], values[Group.IdxX], places[Group.IdxX]))
            {
                values[Group.IdxX] = values[other];
                places[Group.IdxX] = places[other];
            }

            Group.Barrier();
        }

        if (Group.IdxX == 0)
            args.Indices[Grid.IdxX] = places[0] == int.MaxValue ? 0 : places[0];
    }

    private static bool Precedes(float value, int place, float best, int bestPlace) =>
        value > best || (value == best && place < bestPlace);

    private static float Glu(float gate, float up) => gate / (1f + FloatMath.Exp(-gate)) * up;

    // A row's padding stays zero whatever becomes of the row: products read it.
    private static F4 Within(F4 v, int four, int columns)
    {
        int rest = columns - (4 * four);
        return F4.Of(rest > 0 ? v.X : 0f, rest > 1 ? v.Y : 0f, rest > 2 ? v.Z : 0f, rest > 3 ? v.W : 0f);
    }

    private static KernelTraits Traits(string name) => new(name, GroupSize, MinGroups: 2, Hot: false);
}
