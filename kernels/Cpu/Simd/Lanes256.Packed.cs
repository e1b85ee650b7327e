using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Bytes and words: AVX2, and AVX-VNNI where it is present.</summary>
internal readonly unsafe partial struct Lanes256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SplatWord(short value) => Vector256.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SplatPair(byte* words) => Vector256.Create(*(int*)words).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AndWords(Vector256<float> a, Vector256<float> b) => (a.AsInt32() & b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> OrWords(Vector256<float> a, Vector256<float> b) => (a.AsInt32() | b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftWordsLeft(Vector256<float> a, int bits) => (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftWordsRight(Vector256<float> a, int bits) => (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ShiftSignedWordsRight(Vector256<float> a, int bits) => (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AddIntegers(Vector256<float> a, Vector256<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> IntegersToFloat(Vector256<float> a) => Vector256.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyWordsAddPairs(Vector256<float> a, Vector256<float> b) =>
        Avx2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> DotBytes(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, byte* x)
    {
        if (AvxVnni.IsSupported)
            return DotVnni(a, b, c, d, x);
        Vector256<short> first = Avx2.MultiplyAddAdjacent(a.AsByte(), Vector256.Create(*(int*)(x)).AsSByte())
            + Avx2.MultiplyAddAdjacent(b.AsByte(), Vector256.Create(*(int*)(x + 4)).AsSByte());
        Vector256<short> second = Avx2.MultiplyAddAdjacent(c.AsByte(), Vector256.Create(*(int*)(x + 8)).AsSByte())
            + Avx2.MultiplyAddAdjacent(d.AsByte(), Vector256.Create(*(int*)(x + 12)).AsSByte());
        return Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(first + second, Vector256<short>.One));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> DotWideBytes(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, byte* x)
    {
        if (AvxVnni.IsSupported)
            return DotVnni(a, b, c, d, x);
        Vector256<short> first = Avx2.MultiplyAddAdjacent(a.AsByte(), Vector256.Create(*(int*)(x)).AsSByte())
            + Avx2.MultiplyAddAdjacent(b.AsByte(), Vector256.Create(*(int*)(x + 4)).AsSByte());
        Vector256<short> second = Avx2.MultiplyAddAdjacent(c.AsByte(), Vector256.Create(*(int*)(x + 8)).AsSByte())
            + Avx2.MultiplyAddAdjacent(d.AsByte(), Vector256.Create(*(int*)(x + 12)).AsSByte());
        return Vector256.ConvertToSingle(
            Avx2.MultiplyAddAdjacent(first, Vector256<short>.One) + Avx2.MultiplyAddAdjacent(second, Vector256<short>.One));
    }

    // The same whole numbers, by one instruction for four bytes a lane.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> DotVnni(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, byte* x)
    {
        Vector256<int> sum = AvxVnni.MultiplyWideningAndAdd(Vector256<int>.Zero, a.AsByte(), Vector256.Create(*(int*)(x)).AsSByte());
        sum = AvxVnni.MultiplyWideningAndAdd(sum, b.AsByte(), Vector256.Create(*(int*)(x + 4)).AsSByte());
        sum = AvxVnni.MultiplyWideningAndAdd(sum, c.AsByte(), Vector256.Create(*(int*)(x + 8)).AsSByte());
        sum = AvxVnni.MultiplyWideningAndAdd(sum, d.AsByte(), Vector256.Create(*(int*)(x + 12)).AsSByte());
        return Vector256.ConvertToSingle(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadByte(byte* source) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(source));
}
