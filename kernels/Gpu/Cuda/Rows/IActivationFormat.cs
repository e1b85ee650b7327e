using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Rows;

/// <summary>The 16 bits that an activation takes.</summary>
internal interface IActivationFormat
{
    /// <summary>The power of two that a row with this largest magnitude is multiplied by.</summary>
    static abstract float FactorFor(float largest);

    /// <summary>Two elements in a word.</summary>
    static abstract uint Pack(float low, float high);
}

/// <summary>bfloat16, with the range of float32: no factor.</summary>
internal readonly struct Bf16Activations : IActivationFormat
{
    public static float FactorFor(float largest) => 1;

    public static uint Pack(float low, float high) => Ptx.PackBf16(low, high);
}

/// <summary>Half precision, with a factor that brings the largest element to between 2^13 and 2^14.</summary>
internal readonly struct HalfActivations : IActivationFormat
{
    public static float FactorFor(float largest)
    {
        // Of a row of zeros, or with an infinity, nothing is scaled. The factor's inverse has to be a normal number, too.
        uint exponent = Bits.FloatAsInt(largest) >> 23;
        uint factor = IntrinsicMath.Min(267 - exponent, 253);
        return exponent == 0 || exponent == 255 ? 1 : Bits.IntAsFloat(factor << 23);
    }

    public static uint Pack(float low, float high) => Ptx.PackHalf(low, high);
}
