using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>Weights in half precision.</summary>
internal readonly struct F16Tile : ITileFormat<PairRegisters, NoScales>
{
    public static int TileBytes => TileLayout.Rows * TileLayout.Columns * 2;

    public static bool TakesBf16 => false;

    public static PairRegisters Load(ulong tile, int pair, int lane) => WordTiles.Load(tile, pair, lane);

    public static NoScales LoadScales(ulong tile, int lane) => default;

    public static PairRegisters Unpack(PairRegisters packed, NoScales scales, int pair) => packed;

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);
}

/// <summary>Weights in bfloat16.</summary>
internal readonly struct Bf16Tile : ITileFormat<PairRegisters, NoScales>
{
    public static int TileBytes => TileLayout.Rows * TileLayout.Columns * 2;

    public static bool TakesBf16 => true;

    public static PairRegisters Load(ulong tile, int pair, int lane) => WordTiles.Load(tile, pair, lane);

    public static NoScales LoadScales(ulong tile, int lane) => default;

    public static PairRegisters Unpack(PairRegisters packed, NoScales scales, int pair) => packed;

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyBf16(sums, weights, b0, b1);
}

/// <summary>What tiles of 16-bit weights share: they are the registers already.</summary>
internal static class WordTiles
{
    private const int StepBytes = 32 * 16;

    public static PairRegisters Load(ulong tile, int pair, int lane)
    {
        ulong address = tile + (uint)((pair * 4 * StepBytes) + (lane * 16));
        PairRegisters packed;
        packed.S0 = Ptx.Stream16(address);
        packed.S1 = Ptx.Stream16(address + StepBytes);
        packed.S2 = Ptx.Stream16(address + (2 * StepBytes));
        packed.S3 = Ptx.Stream16(address + (3 * StepBytes));
        return packed;
    }
}
