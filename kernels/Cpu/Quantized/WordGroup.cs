using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>Sizes of a group: the blocks of 32 weights that four vectors of words hold.</summary>
internal static class WordGroup<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Weights of a block.</summary>
    public const int BlockColumns = 32;

    /// <summary>Blocks of a group.</summary>
    public static int Blocks => TS.Count / 4;

    /// <summary>Columns of a group.</summary>
    public static int Columns => Blocks * BlockColumns;

    /// <summary>Floats that a group of activations takes: its words, then their sums, each block's in its lanes.</summary>
    public static int ActivationFloats => 5 * TS.Count;

    /// <summary>Floats that a group of unpacked weights takes: its words, factors and minima.</summary>
    public static int PanelFloats => 6 * TS.Count;

    /// <summary>Groups that cover a row.</summary>
    public static int GroupsOf(int columns) => (columns + Columns - 1) / Columns;
}
