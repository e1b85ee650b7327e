using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>Q8_0: 16 elements a granule, two granules a scale.</summary>
internal readonly struct Q8Weights : IWeightFormat
{
    public static int Words => 4;

    public static bool HasHigh => false;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        Granule g = default;
        g.Bits = weights.Quants[((long)row * weights.RowUnits) + i];
        g.Scale = HalfBits.ToSingle(weights.Scales[((long)row * weights.RowScales) + (i >> 1)]);
        return g;
    }

    public static F4 Low(Granule g) => Unpack.Scaled(Unpack.SignedBytes(g.Bits.X), g.Scale);

    public static F4 High(Granule g) => default;

    public static int LowColumn(int i, int word) => (4 * i) + word;

    public static int HighColumn(int i, int word) => 0;

    public static Granule Next(Granule g)
    {
        g.Bits = Unpack.Rotated(g.Bits);
        return g;
    }
}

/// <summary>Q4_0: a granule is a block's 32 elements; byte j holds elements j and j + 16.</summary>
internal readonly struct Q4Weights : IWeightFormat
{
    private const float Offset = 8;

    public static int Words => 4;

    public static bool HasHigh => true;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        Granule g = default;
        g.Bits = weights.Quants[((long)row * weights.RowUnits) + i];
        g.Scale = HalfBits.ToSingle(weights.Scales[((long)row * weights.RowScales) + i]);
        return g;
    }

    public static F4 Low(Granule g) => Unpack.Scaled(Unpack.Bytes(g.Bits.X & 0x0F0F0F0F, Offset), g.Scale);

    public static F4 High(Granule g) => Unpack.Scaled(Unpack.Bytes((g.Bits.X >> 4) & 0x0F0F0F0F, Offset), g.Scale);

    public static int LowColumn(int i, int word) => (8 * i) + word;

    public static int HighColumn(int i, int word) => (8 * i) + 4 + word;

    public static Granule Next(Granule g) => Q8Weights.Next(g);
}
