using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>A lane's 6-bit weights of a pair of slabs: nibbles, and the upper pairs of bits of two steps a word.</summary>
internal struct SixBits
{
    public U4 Nibbles;
    public U2 Upper;
}

/// <summary>A lane's scales of a Q6_K tile: four signed bytes for each of its rows, and d of both rows.</summary>
internal struct Q6Scales
{
    public U2 Subs;
    public uint Rows;
}

/// <summary>Q6_K: 6-bit weights with an offset of 32, a scale for each 16.</summary>
internal readonly struct Q6KTile : ITileFormat<SixBits, Q6Scales>
{
    private const uint UpperBits = 0x00300030;

    // 1024 + 32 in half precision, twice.
    private const uint Offset = 0x64206420;

    public static int TileBytes => TileLayout.Q6Scales + TileLayout.LaneScaleBytes + (TileLayout.Rows * 2);

    public static bool TakesBf16 => false;

    public static SixBits Load(ulong tile, int pair, int lane)
    {
        SixBits packed;
        packed.Nibbles = Ptx.Stream16(tile + (uint)(((pair * 32) + lane) * 16));
        packed.Upper = Ptx.Stream8(tile + (uint)(TileLayout.NibbleBytes + (((pair * 32) + lane) * 8)));
        return packed;
    }

    public static Q6Scales LoadScales(ulong tile, int lane)
    {
        ulong address = tile + TileLayout.Q6Scales;
        Q6Scales scales;
        scales.Subs = Ptx.Stream8(address + (uint)(lane * 8));
        scales.Rows = Ptx.Stream4(address + (uint)(TileLayout.LaneScaleBytes + (lane / 4 * 4)));
        return scales;
    }

    public static PairRegisters Unpack(SixBits packed, Q6Scales scales, int pair)
    {
        // The pair's sub-block is the pair: scale byte u = scale + 128 under 0x64, of the low row and of the high row.
        uint selector = 0x4040u + (uint)(pair * 0x0101);
        uint low = Ptx.PickBytes(scales.Subs.X ^ 0x80808080, 0x64646464, selector);
        uint high = Ptx.PickBytes(scales.Subs.Y ^ 0x80808080, 0x64646464, selector);
        uint lowScale = Ptx.MultiplyHalves(Ptx.SubtractHalves(low, 0x64806480), Ptx.PickBytes(scales.Rows, scales.Rows, 0x1010));
        uint highScale = Ptx.MultiplyHalves(Ptx.SubtractHalves(high, 0x64806480), Ptx.PickBytes(scales.Rows, scales.Rows, 0x3232));
        PairRegisters registers;
        registers.S0 = Step(packed.Nibbles.X, packed.Upper.X << 4, packed.Upper.X << 2, packed.Upper.X, packed.Upper.X >> 2, lowScale, highScale);
        registers.S1 = Step(packed.Nibbles.Y, packed.Upper.X >> 4, packed.Upper.X >> 6, packed.Upper.X >> 8, packed.Upper.X >> 10, lowScale, highScale);
        registers.S2 = Step(packed.Nibbles.Z, packed.Upper.Y << 4, packed.Upper.Y << 2, packed.Upper.Y, packed.Upper.Y >> 2, lowScale, highScale);
        registers.S3 = Step(packed.Nibbles.W, packed.Upper.Y >> 4, packed.Upper.Y >> 6, packed.Upper.Y >> 8, packed.Upper.Y >> 10, lowScale, highScale);
        return registers;
    }

    public static Sums Multiply(Sums sums, U4 weights, uint b0, uint b1) => Ptx.MultiplyHalf(sums, weights, b0, b1);

    private static U4 Step(uint word, uint u0, uint u1, uint u2, uint u3, uint lowScale, uint highScale)
    {
        U4 lifted = Nibbles.Lift(word);
        lifted.X = Ptx.AndOr(u0, UpperBits, lifted.X);
        lifted.Y = Ptx.AndOr(u1, UpperBits, lifted.Y);
        lifted.Z = Ptx.AndOr(u2, UpperBits, lifted.Z);
        lifted.W = Ptx.AndOr(u3, UpperBits, lifted.W);
        return Nibbles.Scale(lifted, Offset, lowScale, highScale);
    }
}
