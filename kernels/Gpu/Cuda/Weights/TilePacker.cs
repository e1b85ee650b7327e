using System.Buffers.Binary;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>Rearranges a file's weights into tiles (see <see cref="TileLayout"/>), on the host, on their way to the device.</summary>
internal static class TilePacker
{
    /// <summary>Packs one row of tiles: 16 outputs, all columns.</summary>
    /// <param name="data">The matrix in its file.</param>
    /// <param name="rowTile">Which 16 outputs; those beyond the matrix become zeros.</param>
    /// <param name="destination">Exactly the row's tiles.</param>
    public static void Pack(TensorData data, int rowTile, Span<byte> destination)
    {
        int tileBytes = TileLayout.TileBytes(data.Format), tiles = data.Columns / TileLayout.Columns;
        if (destination.Length != (long)tileBytes * tiles)
            throw new ArgumentException($"{tiles} tiles take {(long)tileBytes * tiles} bytes, not {destination.Length}", nameof(destination));

        destination.Clear();
        int fileBytes = (int)data.Format.RowBytes(TileLayout.Columns);
        Span<byte> quants = stackalloc byte[TileLayout.Columns];
        for (int r = 0; r < Math.Min(TileLayout.Rows, data.Rows - (rowTile * TileLayout.Rows)); r++)
        {
            ReadOnlySpan<byte> row = data.Row((rowTile * TileLayout.Rows) + r);
            for (int tile = 0; tile < tiles; tile++)
                PackRow(data.Format, row.Slice(tile * fileBytes, fileBytes), r, quants, destination.Slice(tile * tileBytes, tileBytes));
        }
    }

    private static void PackRow(WeightFormat format, ReadOnlySpan<byte> source, int row, Span<byte> quants, Span<byte> tile)
    {
        switch (format)
        {
            case WeightFormat.F16 or WeightFormat.BF16:
                PackWords(source, row, tile);
                break;
            case WeightFormat.Q8_0:
                TileQuants.ExpandQ8(source, quants);
                PackBytes(quants, row, tile);
                TileScales.PackBlockScales(source, Q8Block.Bytes, row, tile[TileLayout.Q8Scales..]);
                break;
            case WeightFormat.Q4_0:
                TileQuants.ExpandQ4(source, quants);
                PackNibbles(quants, row, tile);
                TileScales.PackBlockScales(source, WeightFormat.Q4_0.BytesPerBlock(), row, tile[TileLayout.NibbleBytes..]);
                break;
            case WeightFormat.Q4_K:
                TileQuants.ExpandQ4K(source, quants);
                PackNibbles(quants, row, tile);
                TileScales.PackSubScales(source, row, tile[TileLayout.NibbleBytes..]);
                break;
            case WeightFormat.Q5_K:
                TileQuants.ExpandQ5K(source, quants);
                PackNibbles(quants, row, tile);
                PackFifthBits(quants, row, tile[TileLayout.NibbleBytes..]);
                TileScales.PackSubScales(source, row, tile[TileLayout.Q5Scales..]);
                break;
            default:
                TileQuants.ExpandQ6K(source, quants);
                PackNibbles(quants, row, tile);
                PackUpperPairs(quants, row, tile[TileLayout.NibbleBytes..]);
                TileScales.PackQ6Scales(source, row, tile[TileLayout.Q6Scales..]);
                break;
        }
    }

    // [step][lane][register]: 16 bytes a lane.
    private static void PackWords(ReadOnlySpan<byte> source, int row, Span<byte> tile)
    {
        for (int column = 0; column < TileLayout.Columns; column++)
        {
            var place = new TilePlace(row, column);
            int step = (4 * place.Pair) + place.Step;
            source.Slice(2 * column, 2).CopyTo(tile[((((step * 32) + place.Lane) * 16) + (4 * place.Register) + (2 * place.Half))..]);
        }
    }

    // [slab][lane][step of two][upper row][column of four]: 16 bytes a lane.
    private static void PackBytes(ReadOnlySpan<byte> quants, int row, Span<byte> tile)
    {
        for (int column = 0; column < TileLayout.Columns; column++)
        {
            var place = new TilePlace(row, column);
            int slab = (2 * place.Pair) + (place.Step / 2);
            tile[(((slab * 32) + place.Lane) * 16) + (8 * (place.Step % 2)) + (4 * (place.Register % 2)) + (column % 4)] = quants[column];
        }
    }

    // [pair][lane][step]: a word of eight nibbles a step, register r in nibbles r and r + 4.
    private static void PackNibbles(ReadOnlySpan<byte> quants, int row, Span<byte> tile)
    {
        for (int column = 0; column < TileLayout.Columns; column++)
        {
            var place = new TilePlace(row, column);
            Or(tile, (((place.Pair * 32) + place.Lane) * 16) + (4 * place.Step), (quants[column] & 0x0Fu) << ((4 * place.Register) + (16 * place.Half)));
        }
    }

    // [pair][lane]: a word, step s and register r in bits 4 s + r and 16 above.
    private static void PackFifthBits(ReadOnlySpan<byte> quants, int row, Span<byte> bits)
    {
        for (int column = 0; column < TileLayout.Columns; column++)
        {
            var place = new TilePlace(row, column);
            Or(bits, ((place.Pair * 32) + place.Lane) * 4, (uint)(quants[column] >> 4) << ((4 * place.Step) + place.Register + (16 * place.Half)));
        }
    }

    // [pair][lane][two steps]: a word, step s and register r in the two bits from 8 (s % 2) + 2 r, and 16 above.
    private static void PackUpperPairs(ReadOnlySpan<byte> quants, int row, Span<byte> bits)
    {
        for (int column = 0; column < TileLayout.Columns; column++)
        {
            var place = new TilePlace(row, column);
            int shift = (8 * (place.Step % 2)) + (2 * place.Register) + (16 * place.Half);
            Or(bits, (((place.Pair * 32) + place.Lane) * 8) + (4 * (place.Step / 2)), (uint)(quants[column] >> 4) << shift);
        }
    }

    private static void Or(Span<byte> tile, int offset, uint bits) =>
        BinaryPrimitives.WriteUInt32LittleEndian(tile[offset..], BinaryPrimitives.ReadUInt32LittleEndian(tile[offset..]) | bits);
}
