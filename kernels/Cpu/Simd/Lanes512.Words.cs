using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Words: four blocks a vector.</summary>
internal readonly unsafe partial struct Lanes512
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> GatherBytes(byte* first, int near, int far) =>
        Vector256.Create(Vector128.Load(first), Vector128.Load(first + near)).ToVector512Unsafe()
            .WithUpper(Vector256.Create(Vector128.Load(first + far), Vector128.Load(first + far + near))).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> GatherHalf(byte* first, int stride)
    {
        ulong bits = Unsafe.ReadUnaligned<ushort>(first)
            | ((ulong)Unsafe.ReadUnaligned<ushort>(first + stride) << 16)
            | ((ulong)Unsafe.ReadUnaligned<ushort>(first + (2 * stride)) << 32)
            | ((ulong)Unsafe.ReadUnaligned<ushort>(first + (3 * stride)) << 48);
        return SplatToBlocks(Lanes128.FiniteHalves(Vector128.WidenLower(Vector128.CreateScalarUnsafe(bits).AsInt16())));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SplatToBlocks(Vector128<float> blocks) =>
        Avx512F.PermuteVar16x32(
            blocks.ToVector256Unsafe().ToVector512Unsafe(), Vector512.Create(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftBlocksRight(Vector512<float> a, int first, int near, int far)
    {
        uint n = (uint)near, f = (uint)far, both = n + f;
        Vector512<uint> counts = Vector512.Create((uint)first) + Vector512.Create(0, 0, 0, 0, n, n, n, n, f, f, f, f, both, both, both, both);
        return Avx512F.ShiftRightLogicalVariable(a.AsUInt32(), counts).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SplatWord(short value) =>
        Vector512.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> AndWords(Vector512<float> a, Vector512<float> b) =>
        a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> OrWords(Vector512<float> a, Vector512<float> b) =>
        a | b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyWords(Vector512<float> a, Vector512<float> b) =>
        (a.AsInt16() * b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SubtractWords(Vector512<float> a, Vector512<float> b) =>
        (a.AsInt16() - b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftWordsLeft(Vector512<float> a, int bits) =>
        (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftWordsRight(Vector512<float> a, int bits) =>
        (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftSignedWordsRight(Vector512<float> a, int bits) =>
        (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> AddIntegers(Vector512<float> a, Vector512<float> b) =>
        (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> IntegersToFloat(Vector512<float> a) =>
        Vector512.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyWordsAddPairs(Vector512<float> a, Vector512<float> b) =>
        Avx512BW.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();
}
