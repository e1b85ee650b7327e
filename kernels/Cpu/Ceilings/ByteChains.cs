using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>Bytes, four products summed in 32 bits: 16 at a time.</summary>
internal readonly struct ByteChain128 : IMultiplyAddChain<Vector128<float>>
{
    public static int ProductsPerLane => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Next(Vector128<float> sum, Vector128<float> factor)
    {
        if (Dp.IsSupported)
            return Dp.DotProduct(sum.AsInt32(), sum.AsSByte(), factor.AsSByte()).AsSingle();
        if (Ssse3.IsSupported)
        {
            Vector128<short> pairs = Ssse3.MultiplyAddAdjacent(factor.AsByte(), sum.AsSByte());
            return (sum.AsInt32() + Sse2.MultiplyAddAdjacent(pairs, Vector128<short>.One)).AsSingle();
        }

        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(sum.AsSByte());
        (Vector128<short> lowFactor, Vector128<short> highFactor) = Vector128.Widen(factor.AsSByte());
        Vector128<float> first = Lanes128.MultiplyWordsAddPairs(low.AsSingle(), lowFactor.AsSingle());
        Vector128<float> second = Lanes128.MultiplyWordsAddPairs(high.AsSingle(), highFactor.AsSingle());
        return Lanes128.AddIntegers(sum, Lanes128.AddIntegers(first, second));
    }
}

/// <summary>Bytes, four products summed in 32 bits: 32 at a time.</summary>
internal readonly struct ByteChain256 : IMultiplyAddChain<Vector256<float>>
{
    public static int ProductsPerLane => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Next(Vector256<float> sum, Vector256<float> factor)
    {
        if (AvxVnni.IsSupported)
            return AvxVnni.MultiplyWideningAndAdd(sum.AsInt32(), factor.AsByte(), sum.AsSByte()).AsSingle();
        Vector256<short> pairs = Avx2.MultiplyAddAdjacent(factor.AsByte(), sum.AsSByte());
        return (sum.AsInt32() + Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One)).AsSingle();
    }
}

/// <summary>Bytes, four products summed in 32 bits: 64 at a time.</summary>
internal readonly struct ByteChain512 : IMultiplyAddChain<Vector512<float>>
{
    public static int ProductsPerLane => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Next(Vector512<float> sum, Vector512<float> factor)
    {
        Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(factor.AsByte(), sum.AsSByte());
        return (sum.AsInt32() + Avx512BW.MultiplyAddAdjacent(pairs, Vector512<short>.One)).AsSingle();
    }
}
