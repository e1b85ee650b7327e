using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>Small whole numbers in a word's bytes, as float32; exact.</summary>
internal static class Unpack
{
    // 2^23: a whole number below it, put into the low bits, makes 2^23 + the number. Cheaper than a conversion instruction.
    private const uint Carrier = 0x4B000000;
    private const float CarrierValue = 8388608f;

    /// <summary>Four unsigned bytes, less an offset.</summary>
    public static F4 Bytes(uint word, float offset) => F4.Of(
        Byte(word & 0xFF, offset), Byte((word >> 8) & 0xFF, offset), Byte((word >> 16) & 0xFF, offset), Byte(word >> 24, offset));

    /// <summary>Four signed bytes.</summary>
    public static F4 SignedBytes(uint word) => Bytes(word ^ 0x80808080, 128f);

    /// <summary><c>scale * v</c>.</summary>
    public static F4 Scaled(F4 v, float scale) => F4.Of(v.X * scale, v.Y * scale, v.Z * scale, v.W * scale);

    /// <summary><c>scale * v - min</c>.</summary>
    public static F4 Affine(F4 v, float scale, float min) => F4.Of(
        Fused.MultiplyAdd(scale, v.X, -min), Fused.MultiplyAdd(scale, v.Y, -min),
        Fused.MultiplyAdd(scale, v.Z, -min), Fused.MultiplyAdd(scale, v.W, -min));

    /// <summary>The words one place forward; the first becomes the last.</summary>
    public static U4 Rotated(U4 v)
    {
        U4 r;
        r.X = v.Y;
        r.Y = v.Z;
        r.Z = v.W;
        r.W = v.X;
        return r;
    }

    /// <summary>Byte <paramref name="index"/> of a word.</summary>
    public static uint ByteOf(uint word, int index) => (word >> (8 * index)) & 0xFF;

    private static float Byte(uint value, float offset) => Bits.IntAsFloat(Carrier | value) - (CarrierValue + offset);
}
