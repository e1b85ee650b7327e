using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Writes a row's bytes to its lane.</summary>
internal static unsafe class PanelLanes
{
    /// <summary>16 bytes, four to each of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* vectors, int row, byte* bytes)
    {
        for (int vector = 0; vector < 4; vector++)
            Store(vectors, vector, row, Unsafe.ReadUnaligned<uint>(bytes + (vector * sizeof(uint))));
    }

    /// <summary>16 bytes, four to each of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* vectors, int row, Vector128<byte> bytes)
    {
        for (int vector = 0; vector < 4; vector++)
            Store(vectors, vector, row, bytes.AsUInt32().GetElement(vector));
    }

    /// <summary>Four bytes to one vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* vectors, int vector, int row, uint bytes) =>
        ((uint*)(vectors + (vector * Panel.VectorBytes)))[row] = bytes;

    /// <summary>A vector, or the part of it that belongs to the lanes from <paramref name="lane"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TS, TV>(byte* vectors, int vector, int lane)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.Load((float*)(vectors + (vector * Panel.VectorBytes)) + lane);
}

/// <summary>Codes of four bits: columns 0 to 15 of a block in the low, 16 to 31 in the high halves of four vectors' bytes.</summary>
internal static unsafe class Nibbles
{
    public const int BlockBytes = 4 * Panel.VectorBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(
        byte* codes, int lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        TV mask = TS.SplatWord(0x0F0F);
        TV a = PanelLanes.Load<TS, TV>(codes, 0, lane), b = PanelLanes.Load<TS, TV>(codes, 1, lane);
        TV c = PanelLanes.Load<TS, TV>(codes, 2, lane), d = PanelLanes.Load<TS, TV>(codes, 3, lane);
        w0 = TS.AndWords(a, mask);
        w1 = TS.AndWords(b, mask);
        w2 = TS.AndWords(c, mask);
        w3 = TS.AndWords(d, mask);
        w4 = TS.AndWords(TS.ShiftWordsRight(a, 4), mask);
        w5 = TS.AndWords(TS.ShiftWordsRight(b, 4), mask);
        w6 = TS.AndWords(TS.ShiftWordsRight(c, 4), mask);
        w7 = TS.AndWords(TS.ShiftWordsRight(d, 4), mask);
    }

    /// <summary>Writes <see cref="Load"/> as machine code.</summary>
    public static void Write(Assembler code)
    {
        Zmm mask = ByteTileCode.Free(0);
        code.Splat(mask, 0x0F0F0F0F, TileFrame.Free);
        for (int vector = 0; vector < 4; vector++)
        {
            Zmm low = ByteTileCode.Codes(vector), high = ByteTileCode.Codes(4 + vector);
            code.Load(high, new Address(TileFrame.Codes, vector * Panel.VectorBytes));
            code.And(low, high, mask);
            code.ShiftWordsRight(high, high, 4);
            code.And(high, high, mask);
        }
    }

    /// <summary>The low or the high halves of 32 bytes, laid together as <see cref="Load"/> takes them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Join(byte* packed, bool high)
    {
        Vector128<byte> mask = Vector128.Create((byte)0x0F), a = Vector128.Load(packed), b = Vector128.Load(packed + 16);
        return high ? (a >>> 4) | (b & ~mask) : (a & mask) | (b << 4);
    }
}
