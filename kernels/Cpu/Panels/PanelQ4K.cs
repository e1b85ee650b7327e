using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// The scales that Q4_K and Q5_K share: per 256 columns the half-precision d and dmin of 16 rows, then for each of the eight blocks 16
/// factors and 16 minima, a byte each. The file packs those into six bits, which cost more to unpack than the two bits to read.
/// </summary>
internal static unsafe class KScales
{
    public const int SpanBlocks = 8;
    public const int ScaleBytes = Head + (SpanBlocks * BlockBytes);
    private const int Head = 2 * Panel.Outputs * sizeof(ushort), BlockBytes = 2 * Panel.Outputs;

    /// <summary>Takes one row's scales of a whole span from the head of its 256 elements (see <see cref="SubScales"/>).</summary>
    public static void Pack(byte* head, int row, byte* span)
    {
        ((ushort*)span)[row] = Unsafe.ReadUnaligned<ushort>(head);
        ((ushort*)span)[Panel.Outputs + row] = Unsafe.ReadUnaligned<ushort>(head + sizeof(ushort));
        uint factors = Unsafe.ReadUnaligned<uint>(head + 4), mins = Unsafe.ReadUnaligned<uint>(head + 8), low = Unsafe.ReadUnaligned<uint>(head + 12);
        byte* own = span + Head + row;
        Spread(factors & 0x3F3F3F3F, own);
        Spread(mins & 0x3F3F3F3F, own + Panel.Outputs);
        own += SpanBlocks / 2 * BlockBytes;
        Spread((low & 0x0F0F0F0F) | ((factors >> 2) & 0x30303030), own);
        Spread(((low >> 4) & 0x0F0F0F0F) | ((mins >> 2) & 0x30303030), own + Panel.Outputs);
    }

    // A byte to each of four blocks.
    private static void Spread(uint bytes, byte* first)
    {
        for (int block = 0; block < SpanBlocks / 2; block++)
            first[block * BlockBytes] = (byte)(bytes >> (8 * block));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* span, int i, int lane, out TV factor, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* own = span + Head + (i * BlockBytes) + lane;
        factor = TS.Multiply(TS.LoadByte(own), TS.LoadScale((ushort*)span + lane));
        min = TS.Multiply(TS.LoadByte(own + Panel.Outputs), TS.LoadScale((ushort*)span + Panel.Outputs + lane));
    }

    /// <summary>Writes <see cref="Load"/> as machine code.</summary>
    public static void Write(Assembler code)
    {
        WriteProduct(code, ByteTileCode.First, 0, Head);
        WriteProduct(code, ByteTileCode.SecondOrMin, Panel.Outputs * sizeof(ushort), Head + Panel.Outputs);
    }

    private static void WriteProduct(Assembler code, Zmm to, int halves, int bytes)
    {
        code.LoadHalf(to, new Address(TileFrame.Span, halves));
        code.LoadBytes(ByteTileCode.Free(0), new Address(TileFrame.Scales, bytes));
        code.IntegersToFloat(ByteTileCode.Free(0), ByteTileCode.Free(0));
        code.Multiply(to, to, ByteTileCode.Free(0));
    }
}

/// <summary>Q4_K: each 32 columns are a block with a factor and a minimum.</summary>
internal readonly unsafe struct PanelQ4K : IBytePanelFormat
{
    private const int FileBytes = 144;

    public static int SpanBlocks => KScales.SpanBlocks;

    public static int SpanScaleBytes => KScales.ScaleBytes;

    public static int BlockCodeBytes => Nibbles.BlockBytes;

    public static bool IsWide => false;

    public static float SumFactor => -1;

    public static bool HasMin => true;

    public static bool IsPerHalf => false;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        int sub = block & 7;
        for (int row = 0; row < Panel.Outputs; row++)
        {
            byte* from = rows[row] + ((block >> 3) * (long)FileBytes), packed = from + KBlockHead.Bytes + (sub / 2 * KBlockHead.SubElements);
            if (sub == 0)
                KScales.Pack(from, row, span);
            PanelLanes.Store(codes, row, Nibbles.Join(packed, (sub & 1) != 0));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadScales<TS, TV>(byte* span, int i, int lane, out TV first, out TV second, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        KScales.Load<TS, TV>(span, i, lane, out first, out min);
        second = first;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadCodes<TS, TV>(
        byte* codes, int lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => Nibbles.Load<TS, TV>(codes, lane, out w0, out w1, out w2, out w3, out w4, out w5, out w6, out w7);

    public static void WriteScales(Assembler code) => KScales.Write(code);

    public static void WriteCodes(Assembler code) => Nibbles.Write(code);
}
