using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What the angles' kernel takes.</summary>
internal struct AngleArgs
{
    /// <summary>The leading parts of the frequencies, then the rests, <see cref="FrequencyStride"/> elements later.</summary>
    public ArrayView<float> Frequencies;
    public int FrequencyStride;
    public ArrayView<int> Positions;
    public ArrayView<float> Angles;
    public int AngleStride;

    /// <summary>Frequencies, that is half a head.</summary>
    public int Half;
}

/// <summary>What the rotation's kernel takes.</summary>
internal struct RotationArgs
{
    public ArrayView<float> Query;
    public ArrayView<float> Key;
    public ArrayView<float> Angles;
    public int QueryStride;
    public int KeyStride;
    public int AngleStride;
    public int Heads;
    public int KvHeads;

    /// <summary>Half of a head's elements.</summary>
    public int Half;

    /// <summary>1 where elements j and j + d/2 go together, 0 where 2j and 2j + 1 do.</summary>
    public int Halves;
}

/// <summary>RoPE: the angles of a batch's positions, and the rotation of queries and keys. A thread takes one pair.</summary>
internal static class RotationKernels
{
    private const int GroupSize = 128;

    /// <summary>Cosines and sines. Grid: (pairs / group size, rows), as for the other.</summary>
    public static readonly KernelEntry<AngleArgs> Angles = new(new KernelTraits("rope angles", GroupSize, 2, Hot: false), AngleOfPair);

    /// <summary>Rotates in place.</summary>
    public static readonly KernelEntry<RotationArgs> Rotate = new(new KernelTraits("rope", GroupSize, 2, Hot: false), RotatePair);

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => [Angles, Rotate];

    private static void AngleOfPair(AngleArgs args)
    {
        int j = (Grid.IdxX * GroupSize) + Group.IdxX, row = Grid.IdxY;
        if (j >= args.Half)
            return;
        ulong step = Turns.Of(args.Frequencies[j]) + Turns.Of(args.Frequencies[args.FrequencyStride + j]);
        Rotor rotor = Turns.Rotor(step * (ulong)args.Positions[row]);
        long at = (long)row * args.AngleStride;
        args.Angles[at + j] = rotor.Cos;
        args.Angles[at + args.Half + j] = rotor.Sin;
    }

    private static void RotatePair(RotationArgs args)
    {
        int pair = (Grid.IdxX * GroupSize) + Group.IdxX, row = Grid.IdxY;
        if (pair >= (args.Heads + args.KvHeads) * args.Half)
            return;
        int head = pair / args.Half, j = pair % args.Half;
        long angle = (long)row * args.AngleStride;
        float cos = args.Angles[angle + j], sin = args.Angles[angle + args.Half + j];
        int offset = args.Halves != 0 ? j : 2 * j, apart = args.Halves != 0 ? args.Half : 1;
        if (head < args.Heads)
            RotateAt(args.Query, ((long)row * args.QueryStride) + (2 * head * args.Half) + offset, apart, cos, sin);
        else
            RotateAt(args.Key, ((long)row * args.KeyStride) + (2 * (head - args.Heads) * args.Half) + offset, apart, cos, sin);
    }

    private static void RotateAt(ArrayView<float> values, long at, int apart, float cos, float sin)
    {
        float a = values[at], b = values[at + apart];
        values[at] = Fused.MultiplyAdd(a, cos, -(b * sin));
        values[at + apart] = Fused.MultiplyAdd(a, sin, b * cos);
    }
}
