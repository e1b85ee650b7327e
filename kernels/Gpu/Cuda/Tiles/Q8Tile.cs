using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>A lane's bytes of a pair of slabs.</summary>
internal struct PairBytes
{
    public U4 First;
    public U4 Second;
}

/// <summary>Q8_0: 8-bit weights, a scale for each 32.</summary>
internal readonly struct Q8Tile : ITileFormat<PairBytes, U2>
{
    private const int SlabBytes = 32 * 16;

    public static int TileBytes => TileLayout.Q8Scales + TileLayout.LaneScaleBytes;

    public static bool TakesBf16 => false;

    public static PairBytes Load(ulong tile, int pair, int lane)
    {
        ulong address = tile + (uint)((pair * 2 * SlabBytes) + (lane * 16));
        PairBytes packed;
        packed.First = Ptx.Stream16(address);
        packed.Second = Ptx.Stream16(address + SlabBytes);
        return packed;
    }

    public static U2 LoadScales(ulong tile, int lane) => Ptx.Stream8(tile + (uint)(TileLayout.Q8Scales + (lane * 8)));

    public static PairRegisters Unpack(PairBytes packed, U2 scales, int pair)
    {
        uint low = BlockScales.Of(scales.X, pair), high = BlockScales.Of(scales.Y, pair);
        PairRegisters registers;
        registers.S0 = Step(packed.First.X, packed.First.Y, low, high);
        registers.S1 = Step(packed.First.Z, packed.First.W, low, high);
        registers.S2 = Step(packed.Second.X, packed.Second.Y, low, high);
        registers.S3 = Step(packed.Second.Z, packed.Second.W, low, high);
        return registers;
    }

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);

    private static U4 Step(uint lowRow, uint highRow, uint lowScale, uint highScale)
    {
        uint low = lowRow ^ 0x80808080, high = highRow ^ 0x80808080;
        U4 weights;
        weights.X = Scaled(low, 0x4140, lowScale);
        weights.Y = Scaled(high, 0x4140, highScale);
        weights.Z = Scaled(low, 0x4342, lowScale);
        weights.W = Scaled(high, 0x4342, highScale);
        return weights;
    }

    // 0x64 above a byte u makes the half-precision number 1024 + u; u is 128 more than the weight.
    private static uint Scaled(uint bytes, uint selector, uint scale) =>
        Ptx.MultiplyHalves(Ptx.SubtractHalves(Ptx.PickBytes(bytes, 0x64646464, selector), 0x64806480), scale);
}
