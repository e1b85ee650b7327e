namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>How many groups of 8 rows a kernel is compiled for: one or two.</summary>
internal interface IRowGroups
{
    /// <summary>Whether there is a second group.</summary>
    static abstract bool Second { get; }
}

/// <summary>Up to 8 rows.</summary>
internal readonly struct UpTo8Rows : IRowGroups
{
    public static bool Second => false;
}

/// <summary>9 to 16 rows.</summary>
internal readonly struct UpTo16Rows : IRowGroups
{
    public static bool Second => true;
}
