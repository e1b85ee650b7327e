using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Bytes and words: the dot product of Arm, that of SSSE3, or shifts and products.</summary>
internal readonly unsafe partial struct Lanes128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SplatWord(short value) => Vector128.Create(value).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> SplatPair(byte* words) => Vector128.Create(*(int*)words).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> AndWords(Vector128<float> a, Vector128<float> b) => (a.AsInt32() & b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> OrWords(Vector128<float> a, Vector128<float> b) => (a.AsInt32() | b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftWordsLeft(Vector128<float> a, int bits) => (a.AsInt16() << bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftWordsRight(Vector128<float> a, int bits) => (a.AsInt16() >>> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> ShiftSignedWordsRight(Vector128<float> a, int bits) => (a.AsInt16() >> bits).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> AddIntegers(Vector128<float> a, Vector128<float> b) => (a.AsInt32() + b.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> IntegersToFloat(Vector128<float> a) => Vector128.ConvertToSingle(a.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyWordsAddPairs(Vector128<float> a, Vector128<float> b)
    {
        if (Sse2.IsSupported)
            return Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsSingle();
        Vector128<int> x = a.AsInt32(), y = b.AsInt32();
        return ((((x << 16) >> 16) * ((y << 16) >> 16)) + ((x >> 16) * (y >> 16))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> DotBytes(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d, byte* x) =>
        DotWideBytes(a, b, c, d, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> DotWideBytes(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d, byte* x) =>
        Vector128.ConvertToSingle(AddQuads(AddQuads(AddQuads(AddQuads(Vector128<int>.Zero, a, x), b, x + 4), c, x + 8), d, x + 12));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadByte(byte* source)
    {
        Vector128<byte> bytes = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<uint>(source)).AsByte();
        return Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(bytes)).AsInt32());
    }

    // Four bytes of each lane by the same four activations, added to the lane.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> AddQuads(Vector128<int> sum, Vector128<float> codes, byte* x)
    {
        Vector128<sbyte> activations = Vector128.Create(Unsafe.ReadUnaligned<int>(x)).AsSByte();
        if (Dp.IsSupported)
            return Dp.DotProduct(sum, codes.AsSByte(), activations);
        if (Ssse3.IsSupported)
            return sum + Sse2.MultiplyAddAdjacent(Ssse3.MultiplyAddAdjacent(codes.AsByte(), activations), Vector128<short>.One);
        Vector128<short> even = (codes.AsInt16() & Vector128.Create((short)0x00FF)) * ((activations.AsInt16() << 8) >> 8);
        Vector128<short> odd = (codes.AsInt16() >>> 8) * (activations.AsInt16() >> 8);
        Vector128<int> pairs = (even + odd).AsInt32();
        return sum + ((pairs << 16) >> 16) + (pairs >> 16);
    }
}
