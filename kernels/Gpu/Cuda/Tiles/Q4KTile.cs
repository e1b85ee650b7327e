using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>Q4_K: 4-bit weights, a scale and a minimum for each 32.</summary>
internal readonly struct Q4KTile : ITileFormat<U4, KScales>
{
    public static int TileBytes => TileLayout.NibbleBytes + TileLayout.LaneScaleBytes + (TileLayout.Rows * 4);

    public static bool TakesBf16 => false;

    public static U4 Load(ulong tile, int pair, int lane) => Ptx.Stream16(tile + (uint)(((pair * 32) + lane) * 16));

    public static KScales LoadScales(ulong tile, int lane) => KScales.Load(tile + TileLayout.NibbleBytes, lane);

    public static PairRegisters Unpack(U4 packed, KScales scales, int pair)
    {
        KPairScales pairScales = KScales.Of(scales, pair);
        PairRegisters registers;
        registers.S0 = Nibbles.ScaleAndShift(Nibbles.Lift(packed.X), pairScales);
        registers.S1 = Nibbles.ScaleAndShift(Nibbles.Lift(packed.Y), pairScales);
        registers.S2 = Nibbles.ScaleAndShift(Nibbles.Lift(packed.Z), pairScales);
        registers.S3 = Nibbles.ScaleAndShift(Nibbles.Lift(packed.W), pairScales);
        return registers;
    }

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);
}
