using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>Q4_0: 4-bit weights with an offset of 8, a scale for each 32.</summary>
internal readonly struct Q4Tile : ITileFormat<U4, U2>
{
    // 1024 + 8 in half precision, twice.
    private const uint Offset = 0x64086408;

    public static int TileBytes => TileLayout.NibbleBytes + TileLayout.LaneScaleBytes;

    public static bool TakesBf16 => false;

    public static U4 Load(ulong tile, int pair, int lane) => Ptx.Stream16(tile + (uint)(((pair * 32) + lane) * 16));

    public static U2 LoadScales(ulong tile, int lane) => Ptx.Stream8(tile + (uint)(TileLayout.NibbleBytes + (lane * 8)));

    public static PairRegisters Unpack(U4 packed, U2 scales, int pair)
    {
        uint low = BlockScales.Of(scales.X, pair), high = BlockScales.Of(scales.Y, pair);
        PairRegisters registers;
        registers.S0 = Nibbles.Scale(Nibbles.Lift(packed.X), Offset, low, high);
        registers.S1 = Nibbles.Scale(Nibbles.Lift(packed.Y), Offset, low, high);
        registers.S2 = Nibbles.Scale(Nibbles.Lift(packed.Z), Offset, low, high);
        registers.S3 = Nibbles.Scale(Nibbles.Lift(packed.W), Offset, low, high);
        return registers;
    }

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);
}
