namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// Q5_K: <see cref="KBlockHead"/>, then 32 bytes with the fifth bits (bit s of byte i belongs to element i of sub-block s), then the
/// low four bits as in <see cref="Q4KBlock"/>.
/// </summary>
internal static class Q5KBlock
{
    public const int Elements = 256;
    private const int HighBits = KBlockHead.Bytes;
    private const int Nibbles = HighBits + KBlockHead.SubElements;
    private const int Largest = 31;

    public static void Decode(ReadOnlySpan<byte> block, Span<float> destination)
    {
        for (int sub = 0; sub < SubScales.Count; sub++)
        {
            (float scale, float min) = KBlockHead.Read(block, sub);
            int shift = 4 * (sub % 2), first = Nibbles + (sub / 2 * KBlockHead.SubElements);
            for (int i = 0; i < KBlockHead.SubElements; i++)
            {
                int quant = ((block[first + i] >> shift) & 0x0F) | (((block[HighBits + i] >> sub) & 1) << 4);
                destination[(sub * KBlockHead.SubElements) + i] = (scale * quant) - min;
            }
        }
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> block)
    {
        Span<byte> quants = stackalloc byte[Elements];
        KBlockHead.Encode(source, Largest, block, quants);
        Q4KBlock.PackNibbles(quants, block[Nibbles..]);
        for (int i = 0; i < KBlockHead.SubElements; i++)
        {
            int bits = 0;
            for (int sub = 0; sub < SubScales.Count; sub++)
                bits |= (quants[(sub * KBlockHead.SubElements) + i] >> 4) << sub;
            block[HighBits + i] = (byte)bits;
        }
    }
}
