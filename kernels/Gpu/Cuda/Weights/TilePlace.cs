namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>Where an element of a tile goes (see <see cref="TileLayout"/>).</summary>
/// <param name="row">Its row in the tile.</param>
/// <param name="column">Its column in the tile.</param>
internal readonly struct TilePlace(int row, int column)
{
    /// <summary>The lane that holds it.</summary>
    public int Lane => (row % 8 * 4) + (column / TileLayout.LaneColumns);

    /// <summary>The pair of slabs.</summary>
    public int Pair => column % TileLayout.LaneColumns / 16;

    /// <summary>The step within the pair.</summary>
    public int Step => column % 16 / 4;

    /// <summary>The lane's register.</summary>
    public int Register => (row / 8) + (column % 4 / 2 * 2);

    /// <summary>The half of the register: 1 for the upper one.</summary>
    public int Half => column % 2;
}
