using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>
/// A tile's scales: 8 bytes a lane, 4 for each of its rows g and g + 8, about the 64 columns that it holds; then what a whole row of the
/// tile shares.
/// </summary>
internal static class TileScales
{
    private const int Quarters = 4;

    /// <summary>Q8_0 and Q4_0: the two half-precision scales of the lane's 64 columns.</summary>
    public static void PackBlockScales(ReadOnlySpan<byte> source, int blockBytes, int row, Span<byte> scales)
    {
        for (int block = 0; block < TileLayout.Columns / 32; block++)
            source.Slice(block * blockBytes, 2).CopyTo(scales[(LaneBytes(row, block / 2) + (2 * (block % 2)))..]);
    }

    /// <summary>Q4_K and Q5_K: scale and minimum of the lane's two sub-blocks, a byte each; then d and dmin of every row.</summary>
    public static void PackSubScales(ReadOnlySpan<byte> source, int row, Span<byte> scales)
    {
        for (int sub = 0; sub < SubScales.Count; sub++)
        {
            (int scale, int min) = SubScales.Read(source[4..], sub);
            int place = LaneBytes(row, sub / 2) + (2 * (sub % 2));
            (scales[place], scales[place + 1]) = ((byte)scale, (byte)min);
        }

        source[..4].CopyTo(scales[(TileLayout.LaneScaleBytes + (row % 8 * 8) + (row / 8 * 4))..]);
    }

    /// <summary>Q6_K: the scales of the lane's four sub-blocks, a signed byte each; then d of every row.</summary>
    public static void PackQ6Scales(ReadOnlySpan<byte> source, int row, Span<byte> scales)
    {
        const int Scales = 192, BlockScale = 208;
        for (int quarter = 0; quarter < Quarters; quarter++)
            source.Slice(Scales + (Quarters * quarter), Quarters).CopyTo(scales[LaneBytes(row, quarter)..]);
        source.Slice(BlockScale, 2).CopyTo(scales[(TileLayout.LaneScaleBytes + (row % 8 * 4) + (row / 8 * 2))..]);
    }

    private static int LaneBytes(int row, int quarter) => (((row % 8 * Quarters) + quarter) * 8) + (row / 8 * 4);
}
