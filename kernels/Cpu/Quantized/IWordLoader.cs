using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>
/// Unpacks quantized weights to 16-bit words, a group at a time: the blocks of 32 that four vectors hold. Of a block's elements the
/// first vector has 0, 2 .. 14, the second 16, 18 .. 30, the third 1, 3 .. 15, the fourth 17, 19 .. 31: the order in which splitting bytes
/// and nibbles off words yields them. <see cref="ActivationRows{TS,TV}"/> have the same order.
/// </summary>
internal unsafe interface IWordLoader
{
    /// <summary>Bytes of 32 weights, where they are stored apart from others; 0 if rows are always whole groups.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Whether a weight is its word times the factor, less a minimum; otherwise minima are meaningless.</summary>
    static abstract bool HasMin { get; }

    /// <summary>The words of a group, and the factor and the minimum of each block in its lanes.</summary>
    static abstract void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;
}

/// <summary>Q8_0: a half-precision scale, then 32 signed bytes.</summary>
internal readonly unsafe struct Q8Loader : IWordLoader
{
    public static int BlockBytes => 34;

    public static bool HasMin => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* block = row + (group * (long)(BlockBytes * WordGroup<TS, TV>.Blocks));
        TV low = TS.GatherBytes(block + 2, BlockBytes, 2 * BlockBytes), high = TS.GatherBytes(block + 18, BlockBytes, 2 * BlockBytes);
        a = TS.ShiftSignedWordsRight(TS.ShiftWordsLeft(low, 8), 8);
        b = TS.ShiftSignedWordsRight(TS.ShiftWordsLeft(high, 8), 8);
        c = TS.ShiftSignedWordsRight(low, 8);
        d = TS.ShiftSignedWordsRight(high, 8);
        min = scale = TS.GatherHalf(block, BlockBytes);
    }
}

/// <summary>Q4_0: a half-precision scale, then 16 bytes with element i in the low and i + 16 in the high nibble, offset 8.</summary>
internal readonly unsafe struct Q4Loader : IWordLoader
{
    public static int BlockBytes => 18;

    public static bool HasMin => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        byte* block = row + (group * (long)(BlockBytes * WordGroup<TS, TV>.Blocks));
        TV packed = TS.GatherBytes(block + 2, BlockBytes, 2 * BlockBytes), nibble = TS.SplatWord(0x0F), offset = TS.SplatWord(8);
        a = TS.SubtractWords(TS.AndWords(packed, nibble), offset);
        b = TS.SubtractWords(TS.AndWords(TS.ShiftWordsRight(packed, 4), nibble), offset);
        c = TS.SubtractWords(TS.AndWords(TS.ShiftWordsRight(packed, 8), nibble), offset);
        d = TS.SubtractWords(TS.ShiftWordsRight(packed, 12), offset);
        min = scale = TS.GatherHalf(block, BlockBytes);
    }
}
