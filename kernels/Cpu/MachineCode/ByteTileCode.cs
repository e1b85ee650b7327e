using Llama3Cluster.Kernels.Cpu.Panels;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>
/// The code of a <see cref="ByteTile{TS,TV,TF}"/>: the same sums in the same order, hence the same bits. VPDPBUSD adds four products at
/// once to 32 bits, where the instructions that .NET has take three steps with a detour over 16 bits.
/// </summary>
internal static class ByteTileCode
{
    /// <summary>Factors of a block's first half; of its second half where halves have their own, else the minima, if any.</summary>
    public static readonly Zmm First = new(24), SecondOrMin = new(25);

    private const int FirstCode = 16, FirstFree = 26, VectorsOfHalf = 4;

    /// <summary>A block's codes, four columns a vector.</summary>
    public static Zmm Codes(int vector) => new(FirstCode + vector);

    /// <summary>One of six registers that are free while scales and codes are loaded.</summary>
    public static Zmm Free(int number) => new(FirstFree + number);

    /// <summary>Writes the tile of so many rows.</summary>
    public static byte[] Write<TF>(int rows)
        where TF : struct, IBytePanelFormat => TileFrame.Write(
            new TileShape(TF.SpanBlocks, TF.SpanScaleBytes, TF.BlockCodeBytes, ByteActivations.BlockBytes),
            rows,
            code =>
            {
                TF.WriteCodes(code);
                TF.WriteScales(code);

                // Rows take turns: each instruction of one waits for the last, and the processor looks ahead only so far.
                int together = Math.Min(rows, rows <= 8 ? 4 : 2);
                for (int row = 0; row < rows; row += together)
                    WriteRows<TF>(code, row, together);
            });

    private static void WriteRows<TF>(Assembler code, int firstRow, int rows)
        where TF : struct, IBytePanelFormat
    {
        for (int row = 0; row < rows; row++)
        {
            code.Zero(Products(row, 0));
            code.Zero(Products(row, 1));
        }

        for (int vector = 0; vector < VectorsOfHalf; vector++)
        {
            for (int row = 0; row < rows; row++)
            {
                int x = ((firstRow + row) * ByteActivations.BlockBytes) + (vector * sizeof(int));
                code.DotBytes(Products(row, 0), Codes(vector), At(x));
                code.DotBytes(Products(row, 1), Codes(VectorsOfHalf + vector), At(x + Panel.HalfColumns));
            }
        }

        for (int row = 0; row < rows; row++)
        {
            code.IntegersToFloat(Products(row, 0), Products(row, 0));
            code.IntegersToFloat(Products(row, 1), Products(row, 1));
            WriteSum<TF>(code, firstRow + row, Products(row, 0), Products(row, 1));
        }
    }

    // A row's products, to which the scales of its activations and of the weights are applied.
    private static void WriteSum<TF>(Assembler code, int row, Zmm first, Zmm second)
        where TF : struct, IBytePanelFormat
    {
        int x = row * ByteActivations.BlockBytes;
        Zmm sum = TileFrame.Sum(row), scaled = Free(0);
        Address scale0 = At(x + ByteActivations.ScalesAt), scale1 = At(x + ByteActivations.ScalesAt + sizeof(float));
        Address sum0 = At(x + ByteActivations.SumsAt), sum1 = At(x + ByteActivations.SumsAt + sizeof(float));
        if (TF.IsPerHalf)
        {
            code.Splat(scaled, sum0);
            code.MultiplyAdd(scaled, first, scale0);
            code.MultiplyAdd(sum, scaled, First);
            code.Splat(scaled, sum1);
            code.MultiplyAdd(scaled, second, scale1);
            code.MultiplyAdd(sum, scaled, SecondOrMin);
            return;
        }

        if (TF.HasMin)
        {
            code.Multiply(scaled, first, scale0);
            code.MultiplyAdd(sum, SecondOrMin, sum0);
        }
        else
        {
            code.Splat(scaled, sum0);
            code.MultiplyAdd(scaled, first, scale0);
        }

        code.MultiplyAdd(scaled, second, scale1);
        code.MultiplyAdd(sum, scaled, First);
    }

    // Sums over 16 columns. With eight rows the registers of further sums are free.
    private static Zmm Products(int row, int half) => row < 2 ? Free(1 + (2 * row) + half) : new Zmm(8 + (2 * row) + half);

    private static Address At(int offset) => new(TileFrame.X, offset);
}
