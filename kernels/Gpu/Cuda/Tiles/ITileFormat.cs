using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>
/// How one lane reads the tiles of a weight format (see <see cref="Weights.TileLayout"/>): what it loads for a pair of slabs, and how that
/// becomes the registers of four steps.
/// </summary>
/// <typeparam name="TPacked">A lane's weights of a pair of slabs, as they lie in memory.</typeparam>
/// <typeparam name="TScales">A lane's scales of a tile.</typeparam>
internal interface ITileFormat<TPacked, TScales>
    where TPacked : struct
    where TScales : struct
{
    /// <summary>Bytes of a tile.</summary>
    static abstract int TileBytes { get; }

    /// <summary>Whether activations come as bfloat16; else in half precision.</summary>
    static abstract bool TakesBf16 { get; }

    /// <summary>Loads a lane's weights of one of the tile's four pairs of slabs.</summary>
    static abstract TPacked Load(ulong tile, int pair, int lane);

    /// <summary>Loads a lane's scales.</summary>
    static abstract TScales LoadScales(ulong tile, int lane);

    /// <summary>The weights of a pair's four steps, in 16 bits each.</summary>
    static abstract PairRegisters Unpack(TPacked packed, TScales scales, int pair);

    /// <summary>sums + weights x activations of one step.</summary>
    static abstract Sums Multiply(Sums sums, U4 weights, uint b0, uint b1);
}

/// <summary>A lane's weights of the four steps of a pair of slabs, as the matrix product takes them.</summary>
internal struct PairRegisters
{
    public U4 S0;
    public U4 S1;
    public U4 S2;
    public U4 S3;
}

/// <summary>No scales.</summary>
internal struct NoScales
{
    public uint Unused;
}
