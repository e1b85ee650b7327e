using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales (16 elements each), one half-precision scale d;
/// element = d scale (q - 32). Each half of the block (128 elements, four runs of 32) takes 64 nibble bytes and 32 pair bytes: byte i
/// of the pairs holds the upper bits of element i of its four runs, lowest bits first; runs 0 and 1 are the low nibbles of the first
/// and second 32 bytes, runs 2 and 3 their high nibbles.
/// </summary>
internal static class Q6KBlock
{
    public const int Elements = 256;
    private const int UpperBits = 128;
    private const int Scales = 192;
    private const int BlockScale = 208;
    private const int Run = 32;
    private const int SubElements = 16;
    private const int SubCount = 16;
    private const int Offset = 32;
    private const int LargestScale = 127;

    public static void Decode(ReadOnlySpan<byte> block, Span<float> destination)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block[BlockScale..]);
        for (int i = 0; i < Elements; i++)
        {
            (int nibbleByte, int nibbleShift, int upperByte, int upperShift) = Place(i);
            int quant = ((block[nibbleByte] >> nibbleShift) & 0x0F) | (((block[upperByte] >> upperShift) & 3) << 4);
            destination[i] = d * (sbyte)block[Scales + (i / SubElements)] * (quant - Offset);
        }
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> block)
    {
        Span<float> scales = stackalloc float[SubCount];
        float extreme = 0;
        for (int sub = 0; sub < SubCount; sub++)
        {
            scales[sub] = SymmetricFit.Find(source.Slice(sub * SubElements, SubElements), Offset);
            extreme = Math.Max(extreme, Math.Abs(scales[sub]));
        }

        block.Clear();
        float d = HalfScale.Write(extreme / LargestScale, block[BlockScale..]);
        for (int sub = 0; sub < SubCount; sub++)
        {
            var scale = (sbyte)Math.Clamp(MathF.Round(scales[sub] * HalfScale.Inverse(d)), -LargestScale, LargestScale);
            block[Scales + sub] = (byte)scale;
            float inverse = HalfScale.Inverse(d * scale);
            for (int i = sub * SubElements; i < (sub + 1) * SubElements; i++)
            {
                int quant = (int)Math.Clamp(MathF.Round(source[i] * inverse) + Offset, 0, (2 * Offset) - 1);
                (int nibbleByte, int nibbleShift, int upperByte, int upperShift) = Place(i);
                block[nibbleByte] |= (byte)((quant & 0x0F) << nibbleShift);
                block[upperByte] |= (byte)((quant >> 4) << upperShift);
            }
        }
    }

    private static (int NibbleByte, int NibbleShift, int UpperByte, int UpperShift) Place(int element)
    {
        int half = element / 128, run = element % 128 / Run, i = element % Run;
        return ((half * 64) + (run % 2 * Run) + i, run / 2 * 4, UpperBits + (half * Run) + i, run * 2);
    }
}
