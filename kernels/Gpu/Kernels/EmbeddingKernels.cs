using ILGPU;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What <see cref="EmbeddingKernel{TFormat}"/> takes.</summary>
internal struct EmbeddingArgs
{
    public WeightPlanes Table;
    public ArrayView<int> Tokens;

    /// <summary>The output [rows, columns] in fours.</summary>
    public ArrayView<F4> Output;

    /// <summary>Fours from row to row of the output.</summary>
    public int OutputStride;

    /// <summary>Granules of a table row.</summary>
    public int Granules;
}

/// <summary>Looks rows up: a thread decodes one granule. Grid: (granules / group size, rows).</summary>
internal static class EmbeddingKernel<TFormat>
    where TFormat : struct, IWeightFormat
{
    /// <summary>The kernel.</summary>
    public static void Run(EmbeddingArgs args)
    {
        int i = (Grid.IdxX * Group.DimX) + Group.IdxX, row = Grid.IdxY;
        if (i >= args.Granules)
            return;
        Granule granule = TFormat.Load(args.Table, args.Tokens[row], i);
        long first = (long)row * args.OutputStride;
        for (int word = 0; word < TFormat.Words; word++)
        {
            args.Output[first + TFormat.LowColumn(i, word)] = TFormat.Low(granule);
            if (TFormat.HasHigh)
                args.Output[first + TFormat.HighColumn(i, word)] = TFormat.High(granule);
            granule = TFormat.Next(granule);
        }
    }
}

/// <summary>The kernels of <see cref="EmbeddingKernel{TFormat}"/>.</summary>
internal static class EmbeddingKernels
{
    private const int GroupSize = 128;

    private static readonly KernelEntry<EmbeddingArgs>[] Table =
    [
        Of<F32Weights>(WeightFormat.F32), Of<F16Weights>(WeightFormat.F16), Of<Bf16Weights>(WeightFormat.BF16), Of<Q8Weights>(WeightFormat.Q8_0),
        Of<Q4Weights>(WeightFormat.Q4_0), Of<Q4KWeights>(WeightFormat.Q4_K), Of<Q5KWeights>(WeightFormat.Q5_K), Of<Q6KWeights>(WeightFormat.Q6_K),
    ];

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => Table;

    /// <summary>The kernel of a format.</summary>
    public static KernelEntry<EmbeddingArgs> For(WeightFormat format) => Table[(int)format];

    private static KernelEntry<EmbeddingArgs> Of<TFormat>(WeightFormat format)
        where TFormat : struct, IWeightFormat =>
        new(new KernelTraits($"embed {format}", GroupSize, MinGroups: 4, Hot: false), EmbeddingKernel<TFormat>.Run);
}
