using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>Q8_0: one half-precision scale d, then 32 signed bytes q; element = d q.</summary>
internal static class Q8Block
{
    public const int Elements = 32;
    public const int Bytes = Quants + Elements;
    private const int Quants = 2;
    private const int Largest = 127;

    public static void Decode(ReadOnlySpan<byte> block, Span<float> destination)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        for (int i = 0; i < Elements; i++)
            destination[i] = d * (sbyte)block[Quants + i];
    }

    public static float Element(ReadOnlySpan<byte> block, int index) =>
        (float)BinaryPrimitives.ReadHalfLittleEndian(block) * (sbyte)block[Quants + index];

    public static void Encode(ReadOnlySpan<float> source, Span<byte> block)
    {
        float max = 0;
        foreach (float x in source)
            max = Math.Max(max, Math.Abs(x));
        float d = HalfScale.Write(max / Largest, block);
        float inverse = HalfScale.Inverse(d);
        for (int i = 0; i < Elements; i++)
            block[Quants + i] = (byte)(sbyte)Math.Clamp(MathF.Round(source[i] * inverse), -Largest, Largest);
    }
}
