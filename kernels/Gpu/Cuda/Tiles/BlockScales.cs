using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>The two half-precision scales of a lane's row: for the pairs 0 and 1, and for 2 and 3.</summary>
internal static class BlockScales
{
    /// <summary>The pair's scale in both halves.</summary>
    public static uint Of(uint scales, int pair) => Ptx.PickBytes(scales, scales, pair < 2 ? 0x1010u : 0x3232u);
}
