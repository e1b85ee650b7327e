using Llama3Cluster.Kernels.Cpu.Panels;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>
/// The code of a <see cref="WordTile{TS,TV}"/>: the same sums in the same order, hence the same bits. VPDPWSSD multiplies pairs of words
/// and adds them up in one instruction instead of two.
/// </summary>
internal static class WordTileCode
{
    private const int Vectors = Panel.BlockColumns / 4, QuadBytes = 4 * sizeof(short);

    // With fewer rows, one chain of additions a row would leave the multipliers waiting.
    private const int LeastRowsOfOneChain = 8;

    private static readonly Zmm Bytes = new(24), Even = new(25), Odd = new(26), Scale = new(27);

    /// <summary>Writes the tile of so many rows, at most eight.</summary>
    public static byte[] Write(int rows) => TileFrame.Write(
        new TileShape(PanelQ8.SpanBlocks, PanelQ8.SpanScaleBytes, PanelQ8.BlockCodeBytes, WordActivations.BlockBytes),
        rows,
        code => WriteBlock(code, rows));

    private static void WriteBlock(Assembler code, int rows)
    {
        bool splits = rows < LeastRowsOfOneChain;
        for (int row = 0; row < rows; row++)
        {
            code.Zero(Products(row));
            if (splits)
                code.Zero(OddProducts(row));
        }

        for (int vector = 0; vector < Vectors; vector++)
        {
            WriteSplit(code, vector);
            for (int row = 0; row < rows; row++)
            {
                int x = (row * WordActivations.BlockBytes) + (vector * QuadBytes);
                code.DotWords(Products(row), Even, new Address(TileFrame.X, x));
                code.DotWords(splits ? OddProducts(row) : Products(row), Odd, new Address(TileFrame.X, x + (QuadBytes / 2)));
            }
        }

        code.LoadHalf(Scale, new Address(TileFrame.Scales, 0));
        for (int row = 0; row < rows; row++)
        {
            if (splits)
                code.AddIntegers(Products(row), Products(row), OddProducts(row));
            code.IntegersToFloat(Products(row), Products(row));
            code.MultiplyAdd(TileFrame.Sum(row), Products(row), Scale);
        }
    }

    // The first and third of four columns' bytes as words, and the second and fourth.
    private static void WriteSplit(Assembler code, int vector)
    {
        code.Load(Bytes, new Address(TileFrame.Codes, vector * Panel.VectorBytes));
        code.ShiftWordsLeft(Even, Bytes, 8);
        code.ShiftSignedWordsRight(Even, Even, 8);
        code.ShiftSignedWordsRight(Odd, Bytes, 8);
    }

    private static Zmm Products(int row) => new(8 + row);

    private static Zmm OddProducts(int row) => new(16 + row);
}
