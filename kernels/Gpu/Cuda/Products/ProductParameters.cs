namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>One matrix that the activations are multiplied by.</summary>
internal struct ProductTarget
{
    /// <summary>Address of its tiles.</summary>
    public ulong Weights;

    /// <summary>Address of the result, float32 [rows, stride].</summary>
    public ulong Output;

    /// <summary>Address of what is added to the result, float32 [rows, stride]: the result itself, for a residual; 0 for nothing.</summary>
    public ulong Addend;

    /// <summary>Elements from row to row of the result, and of what is added.</summary>
    public int Stride;

    /// <summary>Outputs.</summary>
    public int Outputs;

    /// <summary>The first group, of those of a row of the grid, that works on this matrix.</summary>
    public int FirstGroup;
}

/// <summary>Arguments of a product: up to three matrices of the same format and the same columns, one after the other in the grid.</summary>
internal struct ProductParameters
{
    public ProductTarget First;
    public ProductTarget Second;
    public ProductTarget Third;

    /// <summary>Address of the activations (see <see cref="Rows.ActivationLayout"/>).</summary>
    public ulong Activations;

    /// <summary>Address of the power of two that each row's result is multiplied by, float32 [rows].</summary>
    public ulong RowScales;

    /// <summary>Rows of activations.</summary>
    public int Rows;

    /// <summary>Tiles of columns.</summary>
    public int Tiles;

    /// <summary>Tiles of columns that are summed from nothing (see <see cref="Weights.TileLayout.TilesPerPart"/>).</summary>
    public int TilesPerPart;

    /// <summary>How many matrices there are: 1 to 3. <see cref="ProductTarget.FirstGroup"/> of those beyond is never reached.</summary>
    public int Targets;

    /// <summary>The matrix that a group works on.</summary>
    public static ProductTarget TargetOf(ProductParameters parameters, int group)
    {
        ProductTarget target = parameters.First;
        if (parameters.Targets > 1 && group >= parameters.Second.FirstGroup)
            target = parameters.Second;
        if (parameters.Targets > 2 && group >= parameters.Third.FirstGroup)
            target = parameters.Third;
        return target;
    }
}
