namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// How rows of activations are gathered into tiles: of eight, or sixteen if the tiles go so far, then at most one of each smaller size down
/// to a single row. In memory the rows of a tile alternate block by block, so that a tile is read through one pointer.
/// </summary>
internal readonly record struct RowTile(int First, int Rows)
{
    /// <summary>Rows of the largest tile that any kernel has.</summary>
    public const int Most = 16;

    /// <summary>The tile that begins with a row, where tiles have <paramref name="most"/> rows at most, a power of two.</summary>
    public static RowTile At(int first, int rows, int most)
    {
        int size = most;
        while (size > rows - first)
            size >>= 1;
        return new RowTile(first, size);
    }

    /// <summary>The tile that holds a row.</summary>
    public static RowTile Of(int row, int rows, int most)
    {
        RowTile tile = At(row / most * most, rows, most);
        while (row >= tile.First + tile.Rows)
            tile = At(tile.First + tile.Rows, rows, most);
        return tile;
    }
}
