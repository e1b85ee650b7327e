using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// What Q4_K and Q5_K share: half-precision d and dmin, then <see cref="SubScales"/>; an element of sub-block s is
/// <c>d scale_s q - dmin min_s</c>, with 32 elements a sub-block.
/// </summary>
internal static class KBlockHead
{
    public const int Bytes = 4 + SubScales.Bytes;
    public const int SubElements = 32;

    /// <summary>The factor and the subtrahend of one sub-block.</summary>
    public static (float Scale, float Min) Read(ReadOnlySpan<byte> block, int sub)
    {
        (int scale, int min) = SubScales.Read(block[4..], sub);
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        float dmin = (float)BinaryPrimitives.ReadHalfLittleEndian(block[2..]);
        return (d * scale, dmin * min);
    }

    /// <summary>Fits the eight sub-blocks, writes the head, and writes each element's value (0..<paramref name="largest"/>).</summary>
    public static void Encode(ReadOnlySpan<float> source, int largest, Span<byte> block, Span<byte> quants)
    {
        Span<float> scales = stackalloc float[SubScales.Count], mins = stackalloc float[SubScales.Count];
        float maxScale = 0, maxMin = 0;
        for (int sub = 0; sub < SubScales.Count; sub++)
        {
            (scales[sub], mins[sub]) = AffineFit.Find(source.Slice(sub * SubElements, SubElements), largest);
            maxScale = Math.Max(maxScale, scales[sub]);
            maxMin = Math.Max(maxMin, mins[sub]);
        }

        float d = HalfScale.Write(maxScale / SubScales.Largest, block);
        float dmin = HalfScale.Write(maxMin / SubScales.Largest, block[2..]);
        Span<byte> scaleBits = stackalloc byte[SubScales.Count], minBits = stackalloc byte[SubScales.Count];
        for (int sub = 0; sub < SubScales.Count; sub++)
        {
            scaleBits[sub] = (byte)Math.Clamp(MathF.Round(scales[sub] * HalfScale.Inverse(d)), 0, SubScales.Largest);
            minBits[sub] = (byte)Math.Clamp(MathF.Round(mins[sub] * HalfScale.Inverse(dmin)), 0, SubScales.Largest);
            float inverse = HalfScale.Inverse(d * scaleBits[sub]), min = dmin * minBits[sub];
            for (int i = sub * SubElements; i < (sub + 1) * SubElements; i++)
                quants[i] = (byte)Math.Clamp(MathF.Round((source[i] + min) * inverse), 0, largest);
        }

        SubScales.Write(scaleBits, minBits, block.Slice(4, SubScales.Bytes));
    }
}
