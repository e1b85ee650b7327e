using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Q6_K: nibbles as in Q4_K and two vectors with the upper two bits, one a half: bits 2v of a byte belong to the same byte of its half's
/// vector v. Per 256 columns the half-precision d of 16 rows; each half of a block has a signed factor of one byte.
/// </summary>
internal readonly unsafe struct PanelQ6K : IBytePanelFormat
{
    private const int FileBytes = 210, FileUpper = 128, FileScales = 192, FileBlockScale = 208;
    private const int Head = Panel.Outputs * sizeof(ushort), BlockScaleBytes = 2 * Panel.Outputs, Upper = 4;

    public static int SpanBlocks => 8;

    // What the scales take, rounded up to whole cache lines.
    public static int SpanScaleBytes => 5 * Panel.VectorBytes;

    public static int BlockCodeBytes => Nibbles.BlockBytes + (2 * Panel.VectorBytes);

    public static bool IsWide => true;

    public static float SumFactor => -32;

    public static bool HasMin => false;

    public static bool IsPerHalf => true;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        int run = block & 7, half = run / 4, place = run % 4;
        byte* factors = span + Head + (run * BlockScaleBytes);
        for (int row = 0; row < Panel.Outputs; row++)
        {
            byte* from = rows[row] + ((block >> 3) * (long)FileBytes);
            if (run == 0)
                ((ushort*)span)[row] = Unsafe.ReadUnaligned<ushort>(from + FileBlockScale);
            factors[row] = from[FileScales + (2 * run)];
            factors[Panel.Outputs + row] = from[FileScales + (2 * run) + 1];
            PanelLanes.Store(codes, row, Nibbles.Join(from + (half * 64) + (place % 2 * Panel.BlockColumns), place >= 2));
            byte* upper = from + FileUpper + (half * Panel.BlockColumns);
            PanelLanes.Store(codes, Upper, row, Gather(upper, 2 * place));
            PanelLanes.Store(codes, Upper + 1, row, Gather(upper + Panel.HalfColumns, 2 * place));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadScales<TS, TV>(byte* span, int i, int lane, out TV first, out TV second, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* own = span + Head + (i * BlockScaleBytes) + lane;
        TV d = TS.LoadScale((ushort*)span + lane);
        min = first = TS.Multiply(TS.LoadSByte((sbyte*)own), d);
        second = TS.Multiply(TS.LoadSByte((sbyte*)own + Panel.Outputs), d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadCodes<TS, TV>(
        byte* codes, int lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        Nibbles.Load<TS, TV>(codes, lane, out w0, out w1, out w2, out w3, out w4, out w5, out w6, out w7);
        AddUpper<TS, TV>(PanelLanes.Load<TS, TV>(codes, Upper, lane), ref w0, ref w1, ref w2, ref w3);
        AddUpper<TS, TV>(PanelLanes.Load<TS, TV>(codes, Upper + 1, lane), ref w4, ref w5, ref w6, ref w7);
    }

    public static void WriteScales(Assembler code)
    {
        Zmm d = ByteTileCode.Free(0);
        code.LoadHalf(d, new Address(TileFrame.Span, 0));
        WriteProduct(code, ByteTileCode.First, Head, d);
        WriteProduct(code, ByteTileCode.SecondOrMin, Head + Panel.Outputs, d);
    }

    public static void WriteCodes(Assembler code)
    {
        Nibbles.Write(code);
        Zmm mask = ByteTileCode.Free(2);
        code.Splat(mask, 0x30303030, TileFrame.Free);
        WriteUpper(code, 0, mask);
        WriteUpper(code, 1, mask);
    }

    private static void WriteProduct(Assembler code, Zmm to, int offset, Zmm d)
    {
        code.LoadSignedBytes(to, new Address(TileFrame.Scales, offset));
        code.IntegersToFloat(to, to);
        code.Multiply(to, to, d);
    }

    private static void WriteUpper(Assembler code, int half, Zmm mask)
    {
        Zmm bits = ByteTileCode.Free(0), shifted = ByteTileCode.Free(1);
        code.Load(bits, new Address(TileFrame.Codes, (Upper + half) * Panel.VectorBytes));
        for (int vector = 0; vector < 4; vector++)
        {
            code.ShiftWords(shifted, bits, 4 - (2 * vector));
            code.OrAnd(ByteTileCode.Codes((4 * half) + vector), shifted, mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddUpper<TS, TV>(TV bits, ref TV w0, ref TV w1, ref TV w2, ref TV w3)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        TV mask = TS.SplatWord(0x3030);
        w0 = TS.OrWords(w0, TS.AndWords(TS.ShiftWordsLeft(bits, 4), mask));
        w1 = TS.OrWords(w1, TS.AndWords(TS.ShiftWordsLeft(bits, 2), mask));
        w2 = TS.OrWords(w2, TS.AndWords(bits, mask));
        w3 = TS.OrWords(w3, TS.AndWords(TS.ShiftWordsRight(bits, 2), mask));
    }

    // Two bits from each of 16 bytes, those of bytes 4v to 4v + 3 shifted by 2v.
    private static uint Gather(byte* upper, int shift)
    {
        Vector128<uint> bits = (Vector128.Load(upper).AsUInt32() >>> shift) & Vector128.Create(0x03030303u);
        return bits[0] | (bits[1] << 2) | (bits[2] << 4) | (bits[3] << 6);
    }
}
