using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Words: two blocks a vector.</summary>
internal readonly unsafe partial struct Lanes256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> GatherBytes(byte* first, int near, int far) =>
        Vector256.Create(Vector128.Load(first), Vector128.Load(first + near)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> GatherHalf(byte* first, int stride) =>
        Vector256.Create(Lanes128.GatherHalf(first, stride), Lanes128.GatherHalf(first + stride, stride));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SplatToBlocks(Vector128<float> blocks) =>
        Avx2.PermuteVar8x32(blocks.ToVector256Unsafe(), Vector256.Create(0, 0, 0, 0, 1, 1, 1, 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftBlocksRight(Vector256<float> a, int first, int near, int far)
    {
        uint n = (uint)near;
        Vector256<uint> counts = Vector256.Create((uint)first) + Vector256.Create(0, 0, 0, 0, n, n, n, n);
        return Avx2.ShiftRightLogicalVariable(a.AsUInt32(), counts).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SplatWord(short value) =>
        Vector256.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AndWords(Vector256<float> a, Vector256<float> b) =>
        a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> OrWords(Vector256<float> a, Vector256<float> b) =>
        a | b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyWords(Vector256<float> a, Vector256<float> b) =>
        (a.AsInt16() * b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SubtractWords(Vector256<float> a, Vector256<float> b) =>
        (a.AsInt16() - b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftWordsLeft(Vector256<float> a, int bits) =>
        (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftWordsRight(Vector256<float> a, int bits) =>
        (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftSignedWordsRight(Vector256<float> a, int bits) =>
        (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AddIntegers(Vector256<float> a, Vector256<float> b) =>
        (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> IntegersToFloat(Vector256<float> a) =>
        Vector256.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyWordsAddPairs(Vector256<float> a, Vector256<float> b) =>
        Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();
}
