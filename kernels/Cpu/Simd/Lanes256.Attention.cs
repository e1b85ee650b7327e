using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Attention: see <see cref="NarrowBits"/> for the conversions.</summary>
internal readonly unsafe partial struct Lanes256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(ushort* destination, Vector256<float> value)
    {
        Vector256<uint> bits = value.AsUInt32();
        Vector256<float> magnitude = Vector256.MinNative(
            (bits & Vector256.Create(NarrowBits.Magnitude)).AsSingle(), Vector256.Create(NarrowBits.HalfOverflow));
        Vector256<uint> exponent = Vector256.MaxNative(magnitude, Vector256.Create(NarrowBits.SmallestNormalHalf)).AsUInt32()
            & Vector256.Create(NarrowBits.SingleExponent);
        Vector256<float> rounded = magnitude + (exponent + Vector256.Create(NarrowBits.Exponent13)).AsSingle();
        Vector256<uint> sum = rounded.AsUInt32() - Vector256.Create(NarrowBits.SumExponent);
        Vector256<uint> number = sum + (sum >>> NarrowBits.HalfShift);
        Vector256<uint> nan = ((bits >>> NarrowBits.HalfShift) & Vector256.Create(NarrowBits.HalfMantissa))
            | Vector256.Create(NarrowBits.HalfQuietNaN);
        Vector256<uint> half = Vector256.ConditionalSelect(Vector256.Equals(value, value).AsUInt32(), number, nan);
        StoreWords(destination, half | ((bits >>> NarrowBits.Bf16Shift) & Vector256.Create(NarrowBits.HalfSign)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBf16(ushort* destination, Vector256<float> value)
    {
        Vector256<uint> bits = value.AsUInt32(), kept = bits >>> NarrowBits.Bf16Shift;
        Vector256<uint> odd = kept & Vector256<uint>.One;
        Vector256<uint> number = (bits + Vector256.Create(NarrowBits.Bf16Half) + odd) >>> NarrowBits.Bf16Shift;
        Vector256<uint> nan = kept | Vector256.Create(NarrowBits.Bf16QuietNaN);
        StoreWords(destination, Vector256.ConditionalSelect(Vector256.Equals(value, value).AsUInt32(), number, nan));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreSByte(sbyte* destination, Vector256<float> value)
    {
        Vector256<int> numbers = Vector256.ConvertToInt32Native(value);
        Vector128<short> words = Vector128.Narrow(numbers.GetLower(), numbers.GetUpper());
        Unsafe.WriteUnaligned(destination, Vector128.Narrow(words, words).AsUInt64()[0]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector256<float> a) => Lanes128.Largest(Lanes128.Max(a.GetLower(), a.GetUpper()));

    // The low halves of the 32-bit numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreWords(ushort* destination, Vector256<uint> words) =>
        Vector128.Narrow(words.GetLower(), words.GetUpper()).Store(destination);
}
