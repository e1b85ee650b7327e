using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>How many rows and columns of a weight matrix lie together in a panel.</summary>
internal static class Panel
{
    /// <summary>Weight rows of a panel: one a lane of the widest vectors. Narrower vectors take a panel in parts.</summary>
    public const int Outputs = 16;

    /// <summary>Columns that go through the multiply-adds together.</summary>
    public const int BlockColumns = 32;

    /// <summary>Columns that share one scale of the activations.</summary>
    public const int HalfColumns = 16;

    /// <summary>Bytes of one vector of the widest kind.</summary>
    public const int VectorBytes = 64;

    /// <summary>Panels of so many outputs; the last may be partly empty.</summary>
    public static int CountOf(int outputs) => (outputs + Outputs - 1) / Outputs;

    /// <summary>Blocks of a row of so many columns; the last may be partly empty.</summary>
    public static int BlocksOf(int columns) => (columns + BlockColumns - 1) / BlockColumns;
}

/// <summary>
/// A weight format rearranged for the registers: 16 rows side by side, a row a lane, so that a dot product never leaves its lane, and 16
/// results come out at once. Of quantized weights a 32-bit lane holds four neighbouring columns. The numbers are those of the file, bit
/// for bit.
/// A panel is read from end to end: span after span of a few blocks of 32 columns, of each first the scales and then the codes.
/// </summary>
internal unsafe interface IPanelFormat
{
    /// <summary>Blocks of a span: what shares leading scales, or as many as fill a cache line with theirs.</summary>
    static abstract int SpanBlocks { get; }

    /// <summary>Bytes of a span's scales: whole cache lines.</summary>
    static abstract int SpanScaleBytes { get; }

    /// <summary>Bytes of a block's codes.</summary>
    static abstract int BlockCodeBytes { get; }

    /// <summary>Bytes of an element of a plain format, whose rows may end within a block; 0 for formats of whole blocks.</summary>
    static virtual int ElementBytes => 0;

    /// <summary>Rearranges one block of 16 rows.</summary>
    /// <param name="rows">Where the 16 rows begin in the file.</param>
    /// <param name="block">The block's number in its row.</param>
    /// <param name="span">Where the block's span begins.</param>
    /// <param name="codes">Where the block's codes go.</param>
    static abstract void Pack(byte** rows, int block, byte* span, byte* codes);
}

/// <summary>A panel format whose codes are unsigned bytes once unpacked: they meet activations of 8 bits.</summary>
internal unsafe interface IBytePanelFormat : IPanelFormat
{
    /// <summary>Whether codes go beyond 31, so that four products no longer fit 16 bits.</summary>
    static abstract bool IsWide { get; }

    /// <summary>
    /// What the sum of a block's activations is multiplied by to make up for the codes' offset: with weight = scale (code - offset) the
    /// products hold offset sum(x) too much, which depends on the activations alone and is therefore kept with them.
    /// </summary>
    static abstract float SumFactor { get; }

    /// <summary>Whether the multiple of the sum belongs to the weights' minima and not to the products.</summary>
    static abstract bool HasMin { get; }

    /// <summary>Whether each half of a block has a scale, and so a sum, of its own.</summary>
    static abstract bool IsPerHalf { get; }

    /// <summary>
    /// The factors of the two halves of a span's i-th block (the second means nothing unless halves have their own) and the minima, if there
    /// are any.
    /// </summary>
    static abstract void LoadScales<TS, TV>(byte* span, int i, int lane, out TV first, out TV second, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>A block's codes, four columns a vector.</summary>
    static abstract void LoadCodes<TS, TV>(
        byte* codes, int lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>Writes <see cref="LoadScales"/> as machine code, to <see cref="ByteTileCode.First"/> and <see cref="ByteTileCode.SecondOrMin"/>.</summary>
    static abstract void WriteScales(Assembler code);

    /// <summary>Writes <see cref="LoadCodes"/> as machine code, to <see cref="ByteTileCode.Codes"/>.</summary>
    static abstract void WriteCodes(Assembler code);
}
