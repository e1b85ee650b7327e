namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// Q4_K: <see cref="KBlockHead"/>, then 128 bytes of 4-bit values. Every 32 bytes hold two sub-blocks: the low nibbles the first, the
/// high nibbles the second.
/// </summary>
internal static class Q4KBlock
{
    public const int Elements = 256;
    private const int Largest = 15;

    public static void Decode(ReadOnlySpan<byte> block, Span<float> destination)
    {
        for (int sub = 0; sub < SubScales.Count; sub++)
        {
            (float scale, float min) = KBlockHead.Read(block, sub);
            int shift = 4 * (sub % 2), first = KBlockHead.Bytes + (sub / 2 * KBlockHead.SubElements);
            for (int i = 0; i < KBlockHead.SubElements; i++)
                destination[(sub * KBlockHead.SubElements) + i] = (scale * ((block[first + i] >> shift) & 0x0F)) - min;
        }
    }

    public static void Encode(ReadOnlySpan<float> source, Span<byte> block)
    {
        Span<byte> quants = stackalloc byte[Elements];
        KBlockHead.Encode(source, Largest, block, quants);
        PackNibbles(quants, block[KBlockHead.Bytes..]);
    }

    /// <summary>Packs the low four bits of 256 values in the order that <see cref="Decode"/> describes.</summary>
    public static void PackNibbles(ReadOnlySpan<byte> quants, Span<byte> packed)
    {
        for (int i = 0; i < Elements / 2; i++)
        {
            int low = (i / KBlockHead.SubElements * 2 * KBlockHead.SubElements) + (i % KBlockHead.SubElements);
            packed[i] = (byte)((quants[low] & 0x0F) | ((quants[low + KBlockHead.SubElements] & 0x0F) << 4));
        }
    }
}
