using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>
/// The code of a <see cref="FloatTile{TS,TV,TL}"/>: the same sums in the same order, hence the same bits. Half precision is widened by one
/// instruction, and sixteen rows have their sums in registers.
/// </summary>
internal static class FloatTileCode
{
    // Loaded in turns: the next column need not wait for the last one's products.
    private const int FirstWeight = 16, WeightRegisters = 4;

    /// <summary>Writes the tile of so many rows.</summary>
    public static byte[] Write<TL>(int rows)
        where TL : struct, IElementLoader => TileFrame.Write(
            new TileShape(
                PanelPlain<TL>.SpanBlocks, PanelPlain<TL>.SpanScaleBytes, PanelPlain<TL>.BlockCodeBytes, FloatActivations.BlockBytes),
            rows,
            code =>
            {
                for (int column = 0; column < Panel.BlockColumns; column++)
                    WriteColumn<TL>(code, column, rows);
            });

    private static void WriteColumn<TL>(Assembler code, int column, int rows)
        where TL : struct, IElementLoader
    {
        var weights = new Zmm(FirstWeight + (column % WeightRegisters));
        TL.Write(code, weights, new Address(TileFrame.Codes, column * Panel.Outputs * TL.ElementBytes));
        for (int row = 0; row < rows; row++)
        {
            int x = (row * FloatActivations.BlockBytes) + (column * sizeof(float));
            code.MultiplyAdd(TileFrame.Sum(row), weights, new Address(TileFrame.X, x));
        }
    }
}
