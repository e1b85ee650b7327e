using Llama3Cluster.Kernels.Gpu.Cuda.Weights;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Rows;

/// <summary>
/// How activations lie in device memory for the tensor cores: 16 bits an element, in pieces of 8 rows by 32 columns (a slab of a tile),
/// each piece in the order of a warp's lanes, 16 bytes a lane.
/// </summary>
/// <remarks>
/// Lane 4 g + t holds row g of the piece and, of slab s, the columns 64 t + 8 s … + 7: four for each of the slab's two steps. Pieces follow
/// each other by slab, tile, group of 8 rows. Activations for weights of fewer bits are in half precision, each row multiplied by a power
/// of two that brings its largest element near 2^14: half precision then loses 2^-12 of an element at most, and never overflows.
/// </remarks>
internal static class ActivationLayout
{
    /// <summary>Rows of a piece.</summary>
    public const int GroupRows = 8;

    /// <summary>Bytes of a piece.</summary>
    public const int SlabBytes = 32 * 16;

    /// <summary>Slabs of a tile.</summary>
    public const int Slabs = 2 * TileLayout.Pairs;

    /// <summary>Bytes of 8 rows of a tile.</summary>
    public const int TileBytes = Slabs * SlabBytes;

    /// <summary>Rows that the prefill kernel multiplies at once: buffers hold whole multiples, whatever the rows in use.</summary>
    public const int PaddedRows = 128;

    /// <summary>Bytes of activations for so many rows and columns.</summary>
    public static long ByteCount(int rows, int columns) =>
        checked((rows + PaddedRows - 1L) / PaddedRows * PaddedRows * columns * sizeof(ushort));
}
