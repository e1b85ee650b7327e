namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// How rows of activations are gathered into tiles: eights, then at most one four, one two and one single row. In memory the rows of a
/// tile alternate block by block, so that a tile is read through one pointer.
/// </summary>
internal readonly record struct RowTile(int First, int Rows)
{
    /// <summary>Rows of the largest tile.</summary>
    public const int Most = 8;

    /// <summary>The tile that begins with a row.</summary>
    public static RowTile At(int first, int rows)
    {
        int left = rows - first;
        return new RowTile(first, left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1);
    }

    /// <summary>The tile that holds a row.</summary>
    public static RowTile Of(int row, int rows)
    {
        RowTile tile = At(row / Most * Most, rows);
        while (row >= tile.First + tile.Rows)
            tile = At(tile.First + tile.Rows, rows);
        return tile;
    }
}
