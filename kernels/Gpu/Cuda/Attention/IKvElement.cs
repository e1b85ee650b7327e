using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>The 16 bits of a cached element; queries and weights take the same.</summary>
internal interface IKvElement
{
    static abstract uint Pack(float low, float high);

    static abstract Sums Multiply(Sums sums, U4 a, uint b0, uint b1);
}

/// <summary>Half precision.</summary>
internal readonly struct HalfElement : IKvElement
{
    public static uint Pack(float low, float high) => Ptx.PackHalf(low, high);

    public static Sums Multiply(Sums sums, U4 a, uint b0, uint b1) => Ptx.MultiplyHalf(sums, a, b0, b1);
}

/// <summary>bfloat16.</summary>
internal readonly struct Bf16Element : IKvElement
{
    public static uint Pack(float low, float high) => Ptx.PackBf16(low, high);

    public static Sums Multiply(Sums sums, U4 a, uint b0, uint b1) => Ptx.MultiplyBf16(sums, a, b0, b1);
}
