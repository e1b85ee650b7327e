using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>The half-precision scales at the head (or tail) of quantized blocks.</summary>
internal static class HalfScale
{
    /// <summary>Stores a scale and returns the value that a decoder will read, so that encoders round against it.</summary>
    /// <exception cref="ArgumentException">Half precision cannot hold the scale.</exception>
    public static float Write(float scale, Span<byte> destination)
    {
        var half = (Half)scale;
        if (!Half.IsFinite(half))
            throw new ArgumentException($"a block scale of {scale} exceeds half precision's {Half.MaxValue}: the elements are too large or not finite");
        BinaryPrimitives.WriteHalfLittleEndian(destination, half);
        return (float)half;
    }

    /// <summary>1 / scale, or 0 for a block whose elements all vanish.</summary>
    public static float Inverse(float scale) => scale == 0 ? 0 : 1 / scale;
}
