using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Bytes and words: AVX-512 BW.</summary>
internal readonly unsafe partial struct Lanes512
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SplatWord(short value) => Vector512.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> SplatPair(byte* words) => Vector512.Create(*(int*)words).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> AndWords(Vector512<float> a, Vector512<float> b) => (a.AsInt32() & b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> OrWords(Vector512<float> a, Vector512<float> b) => (a.AsInt32() | b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftWordsLeft(Vector512<float> a, int bits) => (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftWordsRight(Vector512<float> a, int bits) => (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ShiftSignedWordsRight(Vector512<float> a, int bits) => (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> AddIntegers(Vector512<float> a, Vector512<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> IntegersToFloat(Vector512<float> a) => Vector512.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyWordsAddPairs(Vector512<float> a, Vector512<float> b) =>
        Avx512BW.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> DotBytes(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, byte* x)
    {
        Vector512<short> first = Avx512BW.MultiplyAddAdjacent(a.AsByte(), Vector512.Create(*(int*)(x)).AsSByte())
            + Avx512BW.MultiplyAddAdjacent(b.AsByte(), Vector512.Create(*(int*)(x + 4)).AsSByte());
        Vector512<short> second = Avx512BW.MultiplyAddAdjacent(c.AsByte(), Vector512.Create(*(int*)(x + 8)).AsSByte())
            + Avx512BW.MultiplyAddAdjacent(d.AsByte(), Vector512.Create(*(int*)(x + 12)).AsSByte());
        return Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(first + second, Vector512<short>.One));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> DotWideBytes(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, byte* x)
    {
        Vector512<short> first = Avx512BW.MultiplyAddAdjacent(a.AsByte(), Vector512.Create(*(int*)(x)).AsSByte())
            + Avx512BW.MultiplyAddAdjacent(b.AsByte(), Vector512.Create(*(int*)(x + 4)).AsSByte());
        Vector512<short> second = Avx512BW.MultiplyAddAdjacent(c.AsByte(), Vector512.Create(*(int*)(x + 8)).AsSByte())
            + Avx512BW.MultiplyAddAdjacent(d.AsByte(), Vector512.Create(*(int*)(x + 12)).AsSByte());
        return Vector512.ConvertToSingle(
            Avx512BW.MultiplyAddAdjacent(first, Vector512<short>.One) + Avx512BW.MultiplyAddAdjacent(second, Vector512<short>.One));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadByte(byte* source) => Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(source)));
}
