using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.MachineCode;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Loads elements of a plain format (one number an element) into float32 lanes.</summary>
internal unsafe interface IElementLoader
{
    /// <summary>Bytes of an element.</summary>
    static abstract int ElementBytes { get; }

    /// <summary>As many elements as there are lanes, from <paramref name="element"/> on.</summary>
    static abstract TV Load<TS, TV>(byte* row, long element)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>The first <paramref name="count"/> elements, the other lanes zero.</summary>
    static abstract TV LoadPartial<TS, TV>(byte* row, long element, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged;

    /// <summary>Writes <see cref="Load"/> of 16 elements as machine code.</summary>
    static abstract void Write(Assembler code, Zmm to, Address from);
}

internal readonly unsafe struct F32Loader : IElementLoader
{
    public static int ElementBytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TS, TV>(byte* row, long element)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.Load((float*)row + element);

    public static TV LoadPartial<TS, TV>(byte* row, long element, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        float* lanes = stackalloc float[TS.Count];
        Partial.Copy((float*)row + element, count, lanes, TS.Count);
        return TS.Load(lanes);
    }

    public static void Write(Assembler code, Zmm to, Address from) => code.Load(to, from);
}

internal readonly unsafe struct F16Loader : IElementLoader
{
    public static int ElementBytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TS, TV>(byte* row, long element)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.LoadHalf((ushort*)row + element);

    public static TV LoadPartial<TS, TV>(byte* row, long element, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        ushort* lanes = stackalloc ushort[TS.Count];
        Partial.Copy((ushort*)row + element, count, lanes, TS.Count);
        return TS.LoadHalf(lanes);
    }

    public static void Write(Assembler code, Zmm to, Address from) => code.LoadHalf(to, from);
}

/// <summary>Half precision without infinities and NaNs: what weights and caches nearly always are.</summary>
internal readonly unsafe struct FiniteHalfLoader : IElementLoader
{
    public static int ElementBytes => F16Loader.ElementBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TS, TV>(byte* row, long element)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.LoadFiniteHalf((ushort*)row + element);

    public static TV LoadPartial<TS, TV>(byte* row, long element, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => F16Loader.LoadPartial<TS, TV>(row, element, count);

    public static void Write(Assembler code, Zmm to, Address from) => F16Loader.Write(code, to, from);
}

internal readonly unsafe struct Bf16Loader : IElementLoader
{
    public static int ElementBytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Load<TS, TV>(byte* row, long element)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => TS.LoadBf16((ushort*)row + element);

    public static TV LoadPartial<TS, TV>(byte* row, long element, int count)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        ushort* lanes = stackalloc ushort[TS.Count];
        Partial.Copy((ushort*)row + element, count, lanes, TS.Count);
        return TS.LoadBf16(lanes);
    }

    public static void Write(Assembler code, Zmm to, Address from)
    {
        code.LoadWords(to, from);
        code.ShiftLeft(to, to, 16);
    }
}

/// <summary>Copies the end of a row into a full vector's room, so that no load leaves the row.</summary>
internal static unsafe class Partial
{
    public static void Copy<T>(T* source, int count, T* destination, int lanes)
        where T : unmanaged
    {
        for (int i = 0; i < lanes; i++)
            destination[i] = i < count ? Unsafe.ReadUnaligned<T>(source + i) : default;
    }
}
