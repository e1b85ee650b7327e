using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>Q4_K: a sub-block is a block of a group. Two of them share 32 bytes, in the low and in the high nibbles.</summary>
internal readonly unsafe struct Q4KLoader : IWordLoader
{
    private const int Bytes = 144;

    public static int BlockBytes => 0;

    public static bool HasMin => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* block = KBlocks.Find<TS, TV>(row, Bytes, group, out int sub);
        byte* packed = block + KBlockHead.Bytes + ((uint)sub / 2 * KBlockHead.SubElements);
        KBlocks.SplitBytes<TS, TV>(KBlocks.PairedNibbles<TS, TV>(packed, sub), out a, out c);
        KBlocks.SplitBytes<TS, TV>(KBlocks.PairedNibbles<TS, TV>(packed + 16, sub), out b, out d);
        KBlocks.ReadHead<TS, TV>(block, sub, out scale, out min);
    }
}

/// <summary>Q5_K: as Q4_K, the fifth bits apart: bit s of byte i belongs to element i of sub-block s.</summary>
internal readonly unsafe struct Q5KLoader : IWordLoader
{
    private const int Bytes = 176;

    public static int BlockBytes => 0;

    public static bool HasMin => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* block = KBlocks.Find<TS, TV>(row, Bytes, group, out int sub);
        byte* fifth = block + KBlockHead.Bytes, packed = fifth + KBlockHead.SubElements + ((uint)sub / 2 * KBlockHead.SubElements);
        KBlocks.SplitBytes<TS, TV>(TS.OrWords(KBlocks.PairedNibbles<TS, TV>(packed, sub), Fifth<TS, TV>(fifth, sub)), out a, out c);
        KBlocks.SplitBytes<TS, TV>(TS.OrWords(KBlocks.PairedNibbles<TS, TV>(packed + 16, sub), Fifth<TS, TV>(fifth + 16, sub)), out b, out d);
        KBlocks.ReadHead<TS, TV>(block, sub, out scale, out min);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Fifth<TS, TV>(byte* bits, int sub)
        where TS : struct, ILanes<TV>
        where TV : unmanaged =>
        TS.ShiftWordsLeft(TS.AndWords(TS.ShiftBlocksRight(TS.GatherBytes(bits, 0, 0), sub, 1, 2), TS.SplatWord(0x0101)), 4);
}

/// <summary>
/// Q6_K: a run of 32 is a block of a group. Its two scales of one byte multiply the words: 32 times 128 leaves room for the sums, and the
/// block's half-precision scale is the factor.
/// </summary>
internal readonly unsafe struct Q6KLoader : IWordLoader
{
    private const int Bytes = 210, Run = 32, UpperBits = 128, Scales = 192, BlockScale = 208;

    public static int BlockBytes => 0;

    public static bool HasMin => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* block = KBlocks.Find<TS, TV>(row, Bytes, group, out int run);
        int half = run >> 2, place = KBlocks.PlaceAmong<TS, TV>(4, run);
        byte* nibbles = block + (half * 64) + ((place & 1) * Run), upper = block + UpperBits + (half * Run);
        ulong pairs = Unsafe.ReadUnaligned<ulong>(block + Scales + (half * 8)) >> (16 * place);
        Vector128<int> scales = Vector128.WidenLower(Vector128.CreateScalarUnsafe(pairs).AsSByte()).AsInt32();
        TV first = TS.SplatToBlocks(((scales & Vector128.Create(0xFFFF)) | (scales << 16)).AsSingle());
        TV second = TS.SplatToBlocks(((scales >>> 16) | (scales & Vector128.Create(unchecked((int)0xFFFF0000)))).AsSingle());
        KBlocks.SplitBytes<TS, TV>(SixBits<TS, TV>(nibbles, upper, place), out a, out c);
        KBlocks.SplitBytes<TS, TV>(SixBits<TS, TV>(nibbles + 16, upper + 16, place), out b, out d);
        TV offset = TS.SplatWord(32);
        a = TS.MultiplyWords(TS.SubtractWords(a, offset), first);
        b = TS.MultiplyWords(TS.SubtractWords(b, offset), second);
        c = TS.MultiplyWords(TS.SubtractWords(c, offset), first);
        d = TS.MultiplyWords(TS.SubtractWords(d, offset), second);
        min = scale = TS.Splat(HalfBits.FiniteToSingle(Unsafe.ReadUnaligned<short>(block + BlockScale)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV SixBits<TS, TV>(byte* nibbles, byte* upper, int place)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        TV low = TS.AndWords(TS.ShiftBlocksRight(TS.GatherBytes(nibbles, Run, 0), 4 * (place >> 1), 0, 4), TS.SplatWord(0x0F0F));
        TV high = TS.AndWords(TS.ShiftBlocksRight(TS.GatherBytes(upper, 0, 0), 2 * place, 2, 4), TS.SplatWord(0x0303));
        return TS.OrWords(low, TS.ShiftWordsLeft(high, 4));
    }
}
