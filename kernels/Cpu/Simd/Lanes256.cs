using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Eight lanes: AVX2 with FMA.</summary>
internal readonly unsafe partial struct Lanes256 : ILanes<Vector256<float>>
{
    public static int Count => Vector256<float>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Splat(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* destination, Vector256<float> value) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadFiniteHalf(ushort* source)
    {
        Vector256<int> bits = Avx2.ConvertToVector256Int32(Vector128.Load((short*)source));
        return ((bits << HalfBits.MantissaShift) & Vector256.Create(HalfBits.FiniteSingle)).AsSingle() * Vector256.Create(HalfBits.Rebias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadHalf(ushort* source)
    {
        Vector256<uint> bits = Avx2.ConvertToVector256Int32(Vector128.Load(source)).AsUInt32();
        Vector256<uint> magnitude = (bits & Vector256.Create(HalfBits.Magnitude)) << HalfBits.MantissaShift;
        Vector256<float> value = magnitude.AsSingle() * Vector256.Create(HalfBits.Rebias);
        Vector256<uint> special = Vector256.GreaterThanOrEqual(magnitude.AsInt32(), Vector256.Create(HalfBits.Infinity)).AsUInt32();
        return (value.AsUInt32() | (special & Vector256.Create(HalfBits.SingleExponent))
            | ((bits & Vector256.Create(HalfBits.Sign)) << HalfBits.SignShift)).AsSingle();
    }

    // Rebiased as it is, a subnormal has an implicit one that it must not have, and is 2x - 2^-14 instead: less than x just for those.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadScale(ushort* source)
    {
        Vector256<int> bits = Avx2.ConvertToVector256Int32(Vector128.Load((short*)source)) << HalfBits.MantissaShift;
        Vector256<float> normal = ((bits & Vector256.Create(HalfBits.SingleMagnitude)) + Vector256.Create(HalfBits.RebiasBits)).AsSingle();
        Vector256<float> subnormal = Vector256.MultiplyAddEstimate(normal, Vector256.Create(2f), Vector256.Create(HalfBits.ImplicitOne));
        return (Vector256.MinNative(normal, subnormal).AsInt32() | (bits & Vector256.Create(HalfBits.SingleSign))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBf16(ushort* source) =>
        (Avx2.ConvertToVector256Int32(Vector128.Load(source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadSByte(sbyte* source) =>
        Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(source)).AsSByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) =>
        Fma.MultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.MinNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Greater(Vector256<float> challenger, Vector256<float> holder) =>
        Vector256.ConditionalSelect(Vector256.GreaterThan(challenger, holder), challenger, holder);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AnyEqual(Vector256<float> a, Vector256<float> b) => Vector256.EqualsAny(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Round(Vector256<float> a) => Vector256.Round(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ScaleByPowerOfTwo(Vector256<float> a, Vector256<float> n) =>
        a * ((Vector256.ConvertToInt32Native(n) + Vector256.Create(127)) << 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> SwapPairs(Vector256<float> a) => Vector256.Shuffle(a, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> a) => Lanes128.Sum(a.GetLower() + a.GetUpper());
}
