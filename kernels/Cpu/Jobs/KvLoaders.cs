using System.Diagnostics;
using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Loads cached keys and values of one block and one head (see <see cref="KvView"/>) into float32 lanes. Elements d of one group (see
/// <see cref="KvShape.ScaleGroup"/>) share a position's scale, which is loaded once for all of them.
/// </summary>
internal unsafe interface IKvLoader
{
    /// <summary>The scales of the group of <paramref name="d"/> at as many positions as there are lanes.</summary>
    static abstract TV Scales<TS, TV>(byte* head, int headDim, int d, int position)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>Element <paramref name="d"/> of the keys at as many positions as there are lanes.</summary>
    static abstract TV Keys<TS, TV>(byte* head, int headDim, int d, int position, TV scales)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>As many elements as there are lanes, from <paramref name="d"/> on, of the value at one position.</summary>
    static abstract TV Value<TS, TV>(byte* head, int headDim, int position, int d, float* scale)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>The first <paramref name="count"/> of those elements, the other lanes zero.</summary>
    static abstract TV PartialValue<TS, TV>(byte* head, int headDim, int position, int d, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;
}

/// <summary>One number an element, no scales.</summary>
internal readonly unsafe struct PlainKvLoader<TL> : IKvLoader
    where TL : struct, IElementLoader
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scales<TS, TV>(byte* head, int headDim, int d, int position)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Keys<TS, TV>(byte* head, int headDim, int d, int position, TV scales)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TL.Load<TS, TV>(head, (d * KvShape.BlockSize) + position);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TS, TV>(byte* head, int headDim, int position, int d, float* scale)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TL.Load<TS, TV>(head, (position * headDim) + d);

    public static TV PartialValue<TS, TV>(byte* head, int headDim, int position, int d, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TL.LoadPartial<TS, TV>(head, (position * headDim) + d, count);
}

/// <summary>
/// <see cref="KvFormat.Q8_0"/>: all bytes of the head, then its scales, [group][position] for keys and values alike. A byte times a
/// half-precision scale is exact in float32.
/// </summary>
internal readonly unsafe struct Q8KvLoader : IKvLoader
{
    /// <summary>The scale of a group at a position.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort* Scale(byte* head, int headDim, int d, int position) =>
        (ushort*)(head + (KvShape.BlockSize * headDim)) + (d / KvShape.ScaleGroup * KvShape.BlockSize) + position;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Scales<TS, TV>(byte* head, int headDim, int d, int position)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.LoadHalf(Scale(head, headDim, d, position));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Keys<TS, TV>(byte* head, int headDim, int d, int position, TV scales)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.Multiply(TS.LoadSByte((sbyte*)head + (d * KvShape.BlockSize) + position), scales);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Value<TS, TV>(byte* head, int headDim, int position, int d, float* scale)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.Multiply(TS.LoadSByte((sbyte*)head + (position * headDim) + d), TS.Splat(*scale));

    /// <summary>Never needed: heads are whole groups, and those are whole vectors.</summary>
    public static TV PartialValue<TS, TV>(byte* head, int headDim, int position, int d, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => throw new UnreachableException();
}
