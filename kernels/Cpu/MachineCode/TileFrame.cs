using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>How the panels and the activations lie that a tile reads, in bytes.</summary>
/// <param name="SpanBlocks">See <see cref="IPanelFormat.SpanBlocks"/>.</param>
/// <param name="SpanScaleBytes">See <see cref="IPanelFormat.SpanScaleBytes"/>.</param>
/// <param name="BlockCodeBytes">See <see cref="IPanelFormat.BlockCodeBytes"/>.</param>
/// <param name="ActivationBytes">A row's activations for one block.</param>
internal readonly record struct TileShape(int SpanBlocks, int SpanScaleBytes, int BlockCodeBytes, int ActivationBytes);

/// <summary>
/// What the code of every tile has in common: sums that begin at zero or where they were left, a loop over spans and over their blocks,
/// and results that are stored. The code is a function as in the calling convention of Linux on x86-64, with the arguments
/// <c>(byte* span, long blocks, byte* x, float* y, long yStrideBytes, long resumes)</c>; it keeps nothing on the stack and uses only
/// registers that are the caller's to save.
/// </summary>
internal static class TileFrame
{
    /// <summary>What the function is called with.</summary>
    public const Gp Span = Gp.Rdi, Blocks = Gp.Rsi, X = Gp.Rdx, Y = Gp.Rcx, YStride = Gp.R8, Resumes = Gp.R9;

    /// <summary>Where the block's codes lie.</summary>
    public const Gp Codes = Gp.Rax;

    /// <summary>The span, and so many bytes further as its blocks before have scales.</summary>
    public const Gp Scales = Gp.R10;

    /// <summary>Free for whoever writes a block.</summary>
    public const Gp Free = Gp.R9;

    private const Gp Left = Gp.R11, Row = Gp.R11;

    // Every format has two bytes of scales for each output and block.
    private const int BlockScaleBytes = 2 * Panel.Outputs;

    /// <summary>The sums of a row.</summary>
    public static Zmm Sum(int row) => new(row);

    /// <summary>Writes a tile.</summary>
    /// <param name="shape">What it reads.</param>
    /// <param name="rows">Rows of activations, at most 16.</param>
    /// <param name="block">Writes what is done for each block.</param>
    public static byte[] Write(TileShape shape, int rows, Action<Assembler> block)
    {
        var code = new Assembler();
        Begin(code, rows);
        int nextSpan = code.Here;
        code.SetAddress(Codes, new Address(Span, shape.SpanScaleBytes));
        code.SetAddress(Scales, new Address(Span, 0));
        code.Set(Left, (uint)shape.SpanBlocks);
        code.Least(Left, Blocks);
        Prefetch(code, Span, shape.SpanScaleBytes);

        int nextBlock = code.Here;
        Prefetch(code, Codes, shape.BlockCodeBytes);
        block(code);
        code.Add(Codes, shape.BlockCodeBytes);
        code.Add(Scales, BlockScaleBytes);
        code.Add(X, rows * shape.ActivationBytes);
        code.Subtract(Left, 1);
        code.JumpBackIfGreater(nextBlock);

        code.Add(Span, shape.SpanScaleBytes + (shape.SpanBlocks * shape.BlockCodeBytes));
        code.Subtract(Blocks, shape.SpanBlocks);
        code.JumpBackIfGreater(nextSpan);
        ForEachRow(code, rows, (sum, place) => code.Store(place, sum));
        code.Return();
        return code.ToArray();
    }

    private static void Begin(Assembler code, int rows)
    {
        code.Test(Resumes);
        int fresh = code.JumpIfZero();
        ForEachRow(code, rows, code.Load);
        int ready = code.Jump();
        code.Land(fresh);
        for (int row = 0; row < rows; row++)
            code.Zero(Sum(row));
        code.Land(ready);
    }

    private static void ForEachRow(Assembler code, int rows, Action<Zmm, Address> write)
    {
        code.SetAddress(Row, new Address(Y, 0));
        for (int row = 0; row < rows; row++)
        {
            write(Sum(row), new Address(Row, 0));
            code.Add(Row, YStride);
        }
    }

    private static void Prefetch(Assembler code, Gp from, int bytes)
    {
        for (int line = 0; line < bytes; line += Panel.VectorBytes)
            code.Prefetch(new Address(from, CachePrefetch.Distance + line));
    }
}
