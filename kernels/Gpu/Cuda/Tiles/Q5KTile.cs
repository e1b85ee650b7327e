using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>A lane's 5-bit weights of a pair of slabs: nibbles, and the fifth bits.</summary>
internal struct FiveBits
{
    public U4 Nibbles;
    public uint Fifth;
}

/// <summary>Q5_K: 5-bit weights, a scale and a minimum for each 32.</summary>
internal readonly struct Q5KTile : ITileFormat<FiveBits, KScales>
{
    private const uint FifthBit = 0x00100010;

    public static int TileBytes => TileLayout.Q5Scales + TileLayout.LaneScaleBytes + (TileLayout.Rows * 4);

    public static bool TakesBf16 => false;

    public static FiveBits Load(ulong tile, int pair, int lane)
    {
        FiveBits packed;
        packed.Nibbles = Ptx.Stream16(tile + (uint)(((pair * 32) + lane) * 16));
        packed.Fifth = Ptx.Stream4(tile + (uint)(TileLayout.NibbleBytes + (((pair * 32) + lane) * 4)));
        return packed;
    }

    public static KScales LoadScales(ulong tile, int lane) => KScales.Load(tile + TileLayout.Q5Scales, lane);

    public static PairRegisters Unpack(FiveBits packed, KScales scales, int pair)
    {
        // The fifth bits of register r of step s are bits 4 s + r of both halves: moved to bit 4.
        KPairScales pairScales = KScales.Of(scales, pair);
        uint f = packed.Fifth;
        PairRegisters registers;
        registers.S0 = Step(packed.Nibbles.X, f << 4, f << 3, f << 2, f << 1, pairScales);
        registers.S1 = Step(packed.Nibbles.Y, f, f >> 1, f >> 2, f >> 3, pairScales);
        registers.S2 = Step(packed.Nibbles.Z, f >> 4, f >> 5, f >> 6, f >> 7, pairScales);
        registers.S3 = Step(packed.Nibbles.W, f >> 8, f >> 9, f >> 10, f >> 11, pairScales);
        return registers;
    }

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);

    private static U4 Step(uint word, uint f0, uint f1, uint f2, uint f3, KPairScales scales)
    {
        U4 lifted = Nibbles.Lift(word);
        lifted.X = Ptx.AndOr(f0, FifthBit, lifted.X);
        lifted.Y = Ptx.AndOr(f1, FifthBit, lifted.Y);
        lifted.Z = Ptx.AndOr(f2, FifthBit, lifted.Z);
        lifted.W = Ptx.AndOr(f3, FifthBit, lifted.W);
        return Nibbles.ScaleAndShift(lifted, scales);
    }
}
