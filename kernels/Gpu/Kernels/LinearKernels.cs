using ILGPU;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>One matrix of a launch.</summary>
internal struct LinearPart
{
    /// <summary>The weights.</summary>
    public WeightPlanes Weights;

    /// <summary>The product [rows, outputs].</summary>
    public ArrayView<float> Output;

    /// <summary>Elements from row to row of the product.</summary>
    public int OutputStride;

    /// <summary>Outputs of the matrix.</summary>
    public int Outputs;

    /// <summary>The tiles of the launch that precede its own.</summary>
    public int FirstTile;
}

/// <summary>What <see cref="LinearKernel{TFormat, TRows}"/> takes: up to three matrices of one format with the same input.</summary>
internal struct LinearArgs
{
    public LinearPart First;
    public LinearPart Second;
    public LinearPart Third;

    /// <summary>The input [rows, columns] in fours.</summary>
    public ArrayView<F4> Input;

    /// <summary>Fours from row to row of the input.</summary>
    public int InputStride;

    /// <summary>Rows of the input.</summary>
    public int Rows;

    /// <summary>Granules of a weight row.</summary>
    public int Granules;
}

/// <summary>
/// Weights times activations, for decoding and prefill alike. A warp computes four outputs for a tile of rows: its lanes take granules of
/// 16 bytes in turn, so that a warp reads 512 contiguous bytes of each of four weight rows, decodes them once and multiplies them by all
/// rows of the tile. Grid: (row tiles, output tiles), row tiles first, so that neighbours find the weights in the cache.
/// </summary>
/// <remarks>
/// A row's sums are the same in tiles of every height: each lane adds its products in order, rounding once each, and the lanes are added
/// in one order. So the bits of a row do not depend on how many rows there are.
/// </remarks>
internal static class LinearKernel<TFormat, TRows>
    where TFormat : struct, IWeightFormat
    where TRows : struct, IRowTile<TRows>
{
    /// <summary>The kernel.</summary>
    public static void Run(LinearArgs args)
    {
        int lane = Group.IdxX & (LaneSums.Lanes - 1), warp = Group.IdxX / LaneSums.Lanes, tile = Grid.IdxY;
        LinearPart part = args.First;
        if (tile >= args.Second.FirstTile)
            part = args.Second;
        if (tile >= args.Third.FirstTile)
            part = args.Third;

        int first = (((tile - part.FirstTile) * LaneSums.Warps) + warp) * LaneSums.OutputsPerWarp, last = part.Outputs - 1;
        int o0 = IntrinsicMath.Min(first, last), o1 = IntrinsicMath.Min(first + 1, last);
        int o2 = IntrinsicMath.Min(first + 2, last), o3 = IntrinsicMath.Min(first + 3, last);
        int firstRow = Grid.IdxX * TRows.Count;
        TRows rows = TRows.Start(firstRow, args.Rows - 1, args.InputStride);
        for (int i = lane; i < args.Granules; i += LaneSums.Lanes)
        {
            Granule a = TFormat.Load(part.Weights, o0, i), b = TFormat.Load(part.Weights, o1, i);
            Granule c = TFormat.Load(part.Weights, o2, i), d = TFormat.Load(part.Weights, o3, i);
            for (int word = 0; word < TFormat.Words; word++)
            {
                rows = TRows.Add(
                    rows, TFormat.Low(a), TFormat.Low(b), TFormat.Low(c), TFormat.Low(d), args.Input, TFormat.LowColumn(i, word));
                if (TFormat.HasHigh)
                {
                    rows = TRows.Add(
                        rows, TFormat.High(a), TFormat.High(b), TFormat.High(c), TFormat.High(d), args.Input, TFormat.HighColumn(i, word));
                }

                a = TFormat.Next(a);
                b = TFormat.Next(b);
                c = TFormat.Next(c);
                d = TFormat.Next(d);
            }
        }

        LinearOutput output;
        output.Values = part.Output;
        output.Stride = part.OutputStride;
        output.Outputs = part.Outputs;
        output.Rows = args.Rows;
        output.First = first;
        TRows.Finish(rows, output, firstRow);
    }
}

/// <summary>The kernels of <see cref="LinearKernel{TFormat, TRows}"/> for every format and tile height.</summary>
internal static class LinearKernels
{
    /// <summary>Outputs that a group computes.</summary>
    public const int OutputsPerGroup = LaneSums.Warps * LaneSums.OutputsPerWarp;

    private static readonly int[] Heights = [1, 2, 4, 8, 16];

    private static readonly KernelEntry<LinearArgs>[][] Table =
    [
        Of<F32Weights>(WeightFormat.F32), Of<F16Weights>(WeightFormat.F16), Of<Bf16Weights>(WeightFormat.BF16), Of<Q8Weights>(WeightFormat.Q8_0),
        Of<Q4Weights>(WeightFormat.Q4_0), Of<Q4KWeights>(WeightFormat.Q4_K), Of<Q5KWeights>(WeightFormat.Q5_K), Of<Q6KWeights>(WeightFormat.Q6_K),
    ];

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => Table.SelectMany(entries => entries);

    /// <summary>The kernel for a format and a number of rows, and the height of its tiles.</summary>
    public static (KernelEntry<LinearArgs> Entry, int Height) For(WeightFormat format, int rows)
    {
        int i = 0;
        while (i < Heights.Length - 1 && Heights[i] < rows)
            i++;
        return (Table[(int)format][i], Heights[i]);
    }

    private static KernelEntry<LinearArgs>[] Of<TFormat>(WeightFormat format)
        where TFormat : struct, IWeightFormat =>
        [
            Of<TFormat, OneRow>(format), Of<TFormat, Twice<OneRow>>(format), Of<TFormat, Twice<Twice<OneRow>>>(format),
            Of<TFormat, Twice<Twice<Twice<OneRow>>>>(format), Of<TFormat, Twice<Twice<Twice<Twice<OneRow>>>>>(format),
        ];

    private static KernelEntry<LinearArgs> Of<TFormat, TRows>(WeightFormat format)
        where TFormat : struct, IWeightFormat
        where TRows : struct, IRowTile<TRows> =>
        new(new KernelTraits($"linear {format} x {TRows.Count}", LaneSums.Lanes * LaneSums.Warps, MinGroups: TRows.Count < 8 ? 4 : 2, Hot: true), LinearKernel<TFormat, TRows>.Run);
}
