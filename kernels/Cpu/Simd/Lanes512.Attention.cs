using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Attention: the cache's rows are few enough that stores go by halves of a vector.</summary>
internal readonly unsafe partial struct Lanes512
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(ushort* destination, Vector512<float> value)
    {
        Lanes256.StoreHalf(destination, value.GetLower());
        Lanes256.StoreHalf(destination + Lanes256.Count, value.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBf16(ushort* destination, Vector512<float> value)
    {
        Lanes256.StoreBf16(destination, value.GetLower());
        Lanes256.StoreBf16(destination + Lanes256.Count, value.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreSByte(sbyte* destination, Vector512<float> value) =>
        Avx512F.ConvertToVector128SByte(Vector512.ConvertToInt32Native(value)).Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vector512<float> a) => Lanes256.Largest(Lanes256.Max(a.GetLower(), a.GetUpper()));
}
