using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>What the loaders of 256-element blocks share. Such a block is a whole number of groups at every vector width.</summary>
internal static unsafe class KBlocks
{
    private const int SubBlocks = 8;

    /// <summary>The block that a group lies in, and which of its sub-blocks comes first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Find<TS, TV>(byte* row, int bytes, int group, out int sub)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        uint groups = (uint)(SubBlocks / WordGroup<TS, TV>.Blocks);
        sub = (int)((uint)group % groups) * WordGroup<TS, TV>.Blocks;
        return row + ((uint)group / groups * (long)bytes);
    }

    /// <summary>A sub-block's place among so many, where a group is smaller than that; else 0, known when the kernel is compiled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PlaceAmong<TS, TV>(int count, int sub)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => WordGroup<TS, TV>.Blocks >= count ? 0 : (int)((uint)sub % (uint)count);

    /// <summary>16 bytes of each sub-block: the low nibbles of shared bytes for the even, the high ones for the odd.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV PairedNibbles<TS, TV>(byte* packed, int sub)
        where TS : struct, ILanes<TV>
        where TV : unmanaged =>
        TS.AndWords(TS.ShiftBlocksRight(TS.GatherBytes(packed, 0, KBlockHead.SubElements), 4 * PlaceAmong<TS, TV>(2, sub), 4, 0), TS.SplatWord(0x0F0F));

    /// <summary>Bytes 0, 2 .. and bytes 1, 3 .. as words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SplitBytes<TS, TV>(TV bytes, out TV even, out TV odd)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        even = TS.AndWords(bytes, TS.SplatWord(0x00FF));
        odd = TS.ShiftWordsRight(bytes, 8);
    }

    /// <summary>Factors and minima as <see cref="KBlockHead"/> has them, four sub-blocks of <see cref="SubScales"/> at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadHead<TS, TV>(byte* block, int sub, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        uint scales = Unsafe.ReadUnaligned<uint>(block + 4), mins = Unsafe.ReadUnaligned<uint>(block + 8);
        if (sub < 4)
        {
            scales &= 0x3F3F3F3F;
            mins &= 0x3F3F3F3F;
        }
        else
        {
            uint low = Unsafe.ReadUnaligned<uint>(block + 12);
            scales = (low & 0x0F0F0F0F) | ((scales >> 2) & 0x30303030);
            mins = ((low >> 4) & 0x0F0F0F0F) | ((mins >> 2) & 0x30303030);
        }

        scale = Scaled<TS, TV>(block, scales >> (8 * PlaceAmong<TS, TV>(4, sub)));
        min = Scaled<TS, TV>(block + 2, mins >> (8 * PlaceAmong<TS, TV>(4, sub)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TV Scaled<TS, TV>(byte* half, uint bytes)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        Vector128<ushort> words = Vector128.WidenLower(Vector128.CreateScalarUnsafe(bytes).AsByte());
        Vector128<float> values = Vector128.ConvertToSingle(Vector128.WidenLower(words).AsInt32());
        return TS.SplatToBlocks(values * HalfBits.FiniteToSingle(Unsafe.ReadUnaligned<short>(half)));
    }
}
