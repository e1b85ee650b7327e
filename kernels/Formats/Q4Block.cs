using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// Q4_0: one half-precision scale d, then 16 bytes with 4-bit values q; element = d (q - 8). The low nibble of byte i is element i,
/// the high nibble is element i + 16.
/// </summary>
internal static class Q4Block
{
    public const int Elements = 32;
    private const int Quants = 2;
    private const int Half = Elements / 2;
    private const int Offset = 8;

    public static void Decode(ReadOnlySpan<byte> block, Span<float> destination)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        for (int i = 0; i < Half; i++)
        {
            destination[i] = d * ((block[Quants + i] & 0x0F) - Offset);
            destination[i + Half] = d * ((block[Quants + i] >> 4) - Offset);
        }
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> block)
    {
        // The range is -8..7, so the element of largest magnitude takes -8 whatever its sign.
        float extreme = 0;
        foreach (float x in source)
            extreme = Math.Abs(x) > Math.Abs(extreme) ? x : extreme;
        float d = HalfScale.Write(extreme / -Offset, block);
        float inverse = HalfScale.Inverse(d);
        for (int i = 0; i < Half; i++)
            block[Quants + i] = (byte)(Quant(source[i] * inverse) | (Quant(source[i + Half] * inverse) << 4));
    }

    private static int Quant(float scaled) => (int)Math.Clamp(MathF.Round(scaled) + Offset, 0, 15);
}
