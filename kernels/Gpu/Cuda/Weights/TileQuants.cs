namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>The unscaled values of 256 columns of a row, a byte each, from the file's blocks.</summary>
internal static class TileQuants
{
    private const int Block = 32;
    private const int KHead = 16;

    public static void ExpandQ8(ReadOnlySpan<byte> source, Span<byte> quants)
    {
        for (int block = 0; block < quants.Length / Block; block++)
            source.Slice((block * (Block + 2)) + 2, Block).CopyTo(quants[(block * Block)..]);
    }

    public static void ExpandQ4(ReadOnlySpan<byte> source, Span<byte> quants)
    {
        const int Half = Block / 2;
        for (int block = 0; block < quants.Length / Block; block++)
        {
            ReadOnlySpan<byte> packed = source.Slice((block * (Half + 2)) + 2, Half);
            Span<byte> values = quants.Slice(block * Block, Block);
            for (int i = 0; i < Half; i++)
                (values[i], values[i + Half]) = ((byte)(packed[i] & 0x0F), (byte)(packed[i] >> 4));
        }
    }

    public static void ExpandQ4K(ReadOnlySpan<byte> source, Span<byte> quants) => ExpandSubBlocks(source[KHead..], quants);

    public static void ExpandQ5K(ReadOnlySpan<byte> source, Span<byte> quants)
    {
        ReadOnlySpan<byte> fifth = source.Slice(KHead, Block);
        ExpandSubBlocks(source[(KHead + Block)..], quants);
        for (int i = 0; i < quants.Length; i++)
            quants[i] |= (byte)(((fifth[i % Block] >> (i / Block)) & 1) << 4);
    }

    // Runs of 32: runs 0 and 1 of each half are low nibbles, 2 and 3 high ones; the pairs' byte i has the upper bits of element i of all four.
    public static void ExpandQ6K(ReadOnlySpan<byte> source, Span<byte> quants)
    {
        for (int i = 0; i < quants.Length; i++)
        {
            int half = i / 128, run = i % 128 / Block, element = i % Block;
            int low = source[(half * 64) + (run % 2 * Block) + element] >> (run / 2 * 4);
            int upper = source[128 + (half * Block) + element] >> (run * 2);
            quants[i] = (byte)((low & 0x0F) | ((upper & 3) << 4));
        }
    }

    private static void ExpandSubBlocks(ReadOnlySpan<byte> nibbles, Span<byte> quants)
    {
        for (int i = 0; i < quants.Length; i++)
            quants[i] = (byte)((nibbles[(i / (2 * Block) * Block) + (i % Block)] >> (i / Block % 2 * 4)) & 0x0F);
    }
}
