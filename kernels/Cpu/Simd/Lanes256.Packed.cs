using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Bytes and words: AVX2.</summary>
internal readonly unsafe partial struct Lanes256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SplatWord(short value) => Vector256.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> AndWords(Vector256<float> a, Vector256<float> b) => a & b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> OrWords(Vector256<float> a, Vector256<float> b) => a | b;

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
        Vector256<short> first = Multiply(a, x) + Multiply(b, x + 4), second = Multiply(c, x + 8) + Multiply(d, x + 12);
        return Widen(first + second).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> DotWideBytes(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, byte* x)
    {
        Vector256<short> first = Multiply(a, x) + Multiply(b, x + 4), second = Multiply(c, x + 8) + Multiply(d, x + 12);
        return (Widen(first) + Widen(second)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadFiniteHalf(ushort* source)
    {
        Vector256<int> bits = Avx2.ConvertToVector256Int32((short*)source) << HalfBits.MantissaShift;
        return (bits & Vector256.Create(HalfBits.FiniteSingle)).AsSingle() * Vector256.Create(HalfBits.Rebias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadByte(byte* source) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(source));

    // Four bytes of each lane by the same four activations, summed in pairs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Multiply(Vector256<float> codes, byte* x) =>
        Avx2.MultiplyAddAdjacent(codes.AsByte(), Vector256.Create(Unsafe.ReadUnaligned<int>(x)).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Widen(Vector256<short> pairs) => Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One);
}
