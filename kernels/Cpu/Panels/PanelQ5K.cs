using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Q5_K: as Q4_K, and a fifth vector with the fifth bits: bit v of a byte belongs to the same byte of vector v.</summary>
internal readonly unsafe struct PanelQ5K : IBytePanelFormat
{
    private const int FileBytes = 176, FifthBits = 4;

    public static int SpanBlocks => KScales.SpanBlocks;

    public static int SpanScaleBytes => KScales.ScaleBytes;

    public static int BlockCodeBytes => Nibbles.BlockBytes + Panel.VectorBytes;

    public static bool IsWide => false;

    public static float SumFactor => -1;

    public static bool HasMin => true;

    public static bool IsPerHalf => false;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        int sub = block & 7;
        for (int row = 0; row < Panel.Outputs; row++)
        {
            byte* from = rows[row] + ((block >> 3) * (long)FileBytes), fifth = from + KBlockHead.Bytes;
            byte* packed = fifth + KBlockHead.SubElements + (sub / 2 * KBlockHead.SubElements);
            if (sub == 0)
                KScales.Pack(from, row, span);
            PanelLanes.Store(codes, row, Nibbles.Join(packed, (sub & 1) != 0));
            uint bits = 0;
            for (int vector = 0; vector < 8; vector++)
                bits |= ((Unsafe.ReadUnaligned<uint>(fifth + (vector * sizeof(uint))) >> sub) & 0x01010101) << vector;
            PanelLanes.Store(codes, FifthBits, row, bits);
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
        where TV : unmanaged
    {
        Nibbles.Load<TS, TV>(codes, lane, out w0, out w1, out w2, out w3, out w4, out w5, out w6, out w7);
        TV bits = PanelLanes.Load<TS, TV>(codes, FifthBits, lane), mask = TS.SplatWord(0x1010);
        w0 = TS.OrWords(w0, TS.AndWords(TS.ShiftWordsLeft(bits, 4), mask));
        w1 = TS.OrWords(w1, TS.AndWords(TS.ShiftWordsLeft(bits, 3), mask));
        w2 = TS.OrWords(w2, TS.AndWords(TS.ShiftWordsLeft(bits, 2), mask));
        w3 = TS.OrWords(w3, TS.AndWords(TS.ShiftWordsLeft(bits, 1), mask));
        w4 = TS.OrWords(w4, TS.AndWords(bits, mask));
        w5 = TS.OrWords(w5, TS.AndWords(TS.ShiftWordsRight(bits, 1), mask));
        w6 = TS.OrWords(w6, TS.AndWords(TS.ShiftWordsRight(bits, 2), mask));
        w7 = TS.OrWords(w7, TS.AndWords(TS.ShiftWordsRight(bits, 3), mask));
    }

    public static void WriteScales(Assembler code) => KScales.Write(code);

    public static void WriteCodes(Assembler code)
    {
        Zmm bits = ByteTileCode.Free(0), shifted = ByteTileCode.Free(1), mask = ByteTileCode.Free(2);
        Nibbles.Write(code);
        code.Load(bits, new Address(TileFrame.Codes, FifthBits * Panel.VectorBytes));
        code.Splat(mask, 0x10101010, TileFrame.Free);
        for (int vector = 0; vector < 8; vector++)
        {
            code.ShiftWords(shifted, bits, 4 - vector);
            code.OrAnd(ByteTileCode.Codes(vector), shifted, mask);
        }
    }
}
