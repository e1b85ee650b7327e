using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>Single precision: what weights in floating point are multiplied in.</summary>
internal readonly struct FloatChain<TLanes, TV> : IMultiplyAddChain<TV>
    where TLanes : unmanaged, ILanes<TV>
    where TV : unmanaged
{
    public static int ProductsPerLane => 1;

    // With the job's factor of about a half this settles near one: no infinities, no denormals.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Next(TV sum, TV factor) => TLanes.MultiplyAdd(sum, factor, factor);
}

/// <summary>16-bit words, pairs of products summed in 32 bits.</summary>
internal readonly struct WordChain<TLanes, TV> : IMultiplyAddChain<TV>
    where TLanes : unmanaged, ILanes<TV>
    where TV : unmanaged
{
    public static int ProductsPerLane => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TV Next(TV sum, TV factor) => TLanes.AddIntegers(sum, TLanes.MultiplyWordsAddPairs(sum, factor));
}
