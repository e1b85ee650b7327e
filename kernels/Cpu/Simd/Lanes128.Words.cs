using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Words: a block a vector.</summary>
internal readonly unsafe partial struct Lanes128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> GatherBytes(byte* first, int near, int far) => Vector128.Load(first).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> GatherHalf(byte* first, int stride) =>
        FiniteHalves(Vector128.Create((int)Unsafe.ReadUnaligned<short>(first)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SplatToBlocks(Vector128<float> blocks) => Vector128.Create(blocks[0]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftBlocksRight(Vector128<float> a, int first, int near, int far) => (a.AsUInt32() >>> first).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SplatWord(short value) =>
        Vector128.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> AndWords(Vector128<float> a, Vector128<float> b) =>
        a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> OrWords(Vector128<float> a, Vector128<float> b) =>
        a | b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyWords(Vector128<float> a, Vector128<float> b) =>
        (a.AsInt16() * b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SubtractWords(Vector128<float> a, Vector128<float> b) =>
        (a.AsInt16() - b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftWordsLeft(Vector128<float> a, int bits) =>
        (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftWordsRight(Vector128<float> a, int bits) =>
        (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftSignedWordsRight(Vector128<float> a, int bits) =>
        (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> AddIntegers(Vector128<float> a, Vector128<float> b) =>
        (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> IntegersToFloat(Vector128<float> a) =>
        Vector128.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyWordsAddPairs(Vector128<float> a, Vector128<float> b)
    {
        if (Sse2.IsSupported)
            return Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();
        Vector128<int> x = a.AsInt32(), y = b.AsInt32();
        return ((((x << 16) >> 16) * ((y << 16) >> 16)) + ((x >> 16) * (y >> 16))).AsSingle();
    }

    /// <summary>Sign-extended half-precision bits as floats: <see cref="HalfBits"/> without infinities and NaNs, which scales never are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> FiniteHalves(Vector128<int> bits) =>
        ((bits << HalfBits.MantissaShift) & Vector128.Create(HalfBits.FiniteSingle)).AsSingle() * Vector128.Create(HalfBits.Rebias);
}
