using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Tiles;

/// <summary>A lane's scales of a Q4_K or Q5_K tile, as they lie in memory.</summary>
internal struct KScales
{
    // scale, minimum, scale, minimum of the two sub-blocks: low row, high row.
    public U2 Subs;

    // d and dmin: low row, high row.
    public U2 Rows;

    public static KScales Load(ulong scales, int lane)
    {
        KScales loaded;
        loaded.Subs = Ptx.Stream8(scales + (uint)(lane * 8));
        loaded.Rows = Ptx.Stream8(scales + (uint)(Weights.TileLayout.LaneScaleBytes + (lane / 4 * 8)));
        return loaded;
    }

    /// <summary>The scales of one pair of slabs.</summary>
    public static KPairScales Of(KScales scales, int pair)
    {
        uint selector = pair < 2 ? 0x4140u : 0x4342u;
        uint low = Product(scales.Subs.X, selector, scales.Rows.X), high = Product(scales.Subs.Y, selector, scales.Rows.Y);
        KPairScales result;
        result.LowScale = Ptx.PickBytes(low, low, 0x1010);
        result.LowShift = Ptx.PickBytes(low, low, 0x3232);
        result.HighScale = Ptx.PickBytes(high, high, 0x1010);
        result.HighShift = Ptx.PickBytes(high, high, 0x3232);
        return result;
    }

    // (d scale, -dmin min): the sign bit of the upper half is turned.
    private static uint Product(uint subs, uint selector, uint row) =>
        Ptx.MultiplyHalves(Ptx.SubtractHalves(Ptx.PickBytes(subs, 0x64646464, selector), 0x64006400), row ^ 0x80000000);
}

/// <summary>What a pair's weights are multiplied by, and what is added: each twice in a word, for the lane's low and high row.</summary>
internal struct KPairScales
{
    public uint LowScale;
    public uint LowShift;
    public uint HighScale;
    public uint HighShift;
}
