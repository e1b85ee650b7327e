using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>
/// How weights lie in device memory for the tensor cores: in tiles of 16 outputs by 256 columns, one output's columns after the other's,
/// and within a tile in the order in which the lanes of a warp want their registers, so that every load is of 16 bytes a lane from
/// consecutive addresses.
/// </summary>
/// <remarks>
/// <para>A tile takes 16 steps of one 16x16 matrix product. With g = lane / 4 and t = lane % 4, a lane holds rows g and g + 8 and, in
/// step s, the columns 64 t + 4 s … + 3: which columns a product sums together is free as long as activations agree, and so each lane meets
/// a quarter of the tile's scales only. Steps come in four pairs of slabs, a slab being 2 steps or 32 columns (8 of each quarter).</para>
/// <para>In a step, register r (0 to 3) of a lane holds row g + 8 (r % 2) and columns 2 (r / 2) and 2 (r / 2) + 1 of the four.</para>
/// </remarks>
internal static class TileLayout
{
    /// <summary>Outputs of a tile.</summary>
    public const int Rows = 16;

    /// <summary>Columns of a tile.</summary>
    public const int Columns = 256;

    /// <summary>Columns of a tile that one lane of four holds.</summary>
    public const int LaneColumns = Columns / 4;

    /// <summary>Pairs of slabs in a tile: 4 steps each.</summary>
    public const int Pairs = 4;

    /// <summary>Most parts that a product's columns are summed in, before the parts are added in order.</summary>
    public const int MaxParts = 8;

    /// <summary>Bytes of four-bit values in a tile, or of the low four bits of larger ones.</summary>
    public const int NibbleBytes = Rows * Columns / 2;

    /// <summary>Where a Q5_K tile's scales start: after nibbles and fifth bits.</summary>
    public const int Q5Scales = NibbleBytes + (Rows * Columns / 8);

    /// <summary>Where a Q6_K tile's scales start: after nibbles and upper bit pairs.</summary>
    public const int Q6Scales = NibbleBytes + (Rows * Columns / 4);

    /// <summary>Where a Q8_0 tile's scales start.</summary>
    public const int Q8Scales = Rows * Columns;

    /// <summary>Bytes of the 8 bytes of scales that each lane reads.</summary>
    public const int LaneScaleBytes = 32 * 8;

    /// <summary>Whether a matrix can be laid out so: its columns are whole tiles, and its format is one of 16 bits or fewer.</summary>
    public static bool Fits(WeightFormat format, int columns) => format != WeightFormat.F32 && columns % Columns == 0;

    /// <summary>Tiles of outputs; the last one may be filled up with zeros.</summary>
    public static int RowTiles(int rows) => (rows + Rows - 1) / Rows;

    /// <summary>
    /// Tiles of columns that are summed from nothing before they are added to the sum so far: a product's result depends on this and on
    /// nothing else, however the work is cut.
    /// </summary>
    public static int TilesPerPart(int columns) => ((columns / Columns) + MaxParts - 1) / MaxParts;

    /// <summary>Bytes of one tile.</summary>
    public static int TileBytes(WeightFormat format) => format switch
    {
        WeightFormat.F16 or WeightFormat.BF16 => Rows * Columns * 2,
        WeightFormat.Q8_0 => Q8Scales + LaneScaleBytes,
        WeightFormat.Q4_0 => NibbleBytes + LaneScaleBytes,
        WeightFormat.Q4_K => NibbleBytes + LaneScaleBytes + (Rows * 4),
        WeightFormat.Q5_K => Q5Scales + LaneScaleBytes + (Rows * 4),
        WeightFormat.Q6_K => Q6Scales + LaneScaleBytes + (Rows * 2),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "the tensor cores take weights of 16 bits or fewer"),
    };

    /// <summary>Bytes of a matrix.</summary>
    public static long ByteCount(WeightFormat format, int rows, int columns) =>
        checked((long)RowTiles(rows) * (columns / Columns) * TileBytes(format));
}
