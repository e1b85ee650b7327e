using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Attention: see <see cref="NarrowBits"/> for the conversions.</summary>
internal readonly unsafe partial struct Lanes128
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(ushort* destination, Vector128<float> value)
    {
        Vector128<uint> bits = value.AsUInt32();
        Vector128<float> magnitude = Vector128.MinNative(
            (bits & Vector128.Create(NarrowBits.Magnitude)).AsSingle(), Vector128.Create(NarrowBits.HalfOverflow));
        Vector128<uint> exponent = Vector128.MaxNative(magnitude, Vector128.Create(NarrowBits.SmallestNormalHalf)).AsUInt32()
            & Vector128.Create(NarrowBits.SingleExponent);
        Vector128<float> rounded = magnitude + (exponent + Vector128.Create(NarrowBits.Exponent13)).AsSingle();
        Vector128<uint> sum = rounded.AsUInt32() - Vector128.Create(NarrowBits.SumExponent);
        Vector128<uint> number = sum + (sum >>> NarrowBits.HalfShift);
        Vector128<uint> nan = ((bits >>> NarrowBits.HalfShift) & Vector128.Create(NarrowBits.HalfMantissa))
            | Vector128.Create(NarrowBits.HalfQuietNaN);
        Vector128<uint> half = Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), number, nan);
        StoreWords(destination, half | ((bits >>> NarrowBits.Bf16Shift) & Vector128.Create(NarrowBits.HalfSign)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBf16(ushort* destination, Vector128<float> value)
    {
        Vector128<uint> bits = value.AsUInt32(), kept = bits >>> NarrowBits.Bf16Shift;
        Vector128<uint> odd = kept & Vector128<uint>.One;
        Vector128<uint> number = (bits + Vector128.Create(NarrowBits.Bf16Half) + odd) >>> NarrowBits.Bf16Shift;
        Vector128<uint> nan = kept | Vector128.Create(NarrowBits.Bf16QuietNaN);
        StoreWords(destination, Vector128.ConditionalSelect(Vector128.Equals(value, value).AsUInt32(), number, nan));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreSByte(sbyte* destination, Vector128<float> value)
    {
        Vector128<int> numbers = Vector128.ConvertToInt32Native(value);
        Vector128<short> words = Vector128.Narrow(numbers, numbers);
        Unsafe.WriteUnaligned(destination, Vector128.Narrow(words, words).AsUInt32()[0]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector128<float> a)
    {
        Vector128<float> pairs = Max(a, Vector128.Shuffle(a, Vector128.Create(2, 3, 0, 1)));
        return Max(pairs, SwapPairs(pairs))[0];
    }

    // The low halves of the 32-bit numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreWords(ushort* destination, Vector128<uint> words) =>
        Unsafe.WriteUnaligned(destination, Vector128.Narrow(words, words).AsUInt64()[0]);
}
