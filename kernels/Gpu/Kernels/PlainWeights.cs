using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>F32: four elements a granule.</summary>
internal readonly struct F32Weights : IWeightFormat
{
    public static int Words => 1;

    public static bool HasHigh => false;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        Granule g = default;
        g.Bits = weights.Quants[((long)row * weights.RowUnits) + i];
        return g;
    }

    public static F4 Low(Granule g) => F4.Of(
        Bits.IntAsFloat(g.Bits.X), Bits.IntAsFloat(g.Bits.Y), Bits.IntAsFloat(g.Bits.Z), Bits.IntAsFloat(g.Bits.W));

    public static F4 High(Granule g) => default;

    public static int LowColumn(int i, int word) => i;

    public static int HighColumn(int i, int word) => 0;

    public static Granule Next(Granule g) => g;
}

/// <summary>F16: eight elements a granule.</summary>
internal readonly struct F16Weights : IWeightFormat
{
    public static int Words => 2;

    public static bool HasHigh => false;

    public static Granule Load(WeightPlanes weights, int row, int i) => F32Weights.Load(weights, row, i);

    public static F4 Low(Granule g) => F4.Of(
        HalfBits.ToSingle(g.Bits.X & 0xFFFF), HalfBits.ToSingle(g.Bits.X >> 16), HalfBits.ToSingle(g.Bits.Y & 0xFFFF), HalfBits.ToSingle(g.Bits.Y >> 16));

    public static F4 High(Granule g) => default;

    public static int LowColumn(int i, int word) => (2 * i) + word;

    public static int HighColumn(int i, int word) => 0;

    public static Granule Next(Granule g)
    {
        g.Bits.X = g.Bits.Z;
        g.Bits.Y = g.Bits.W;
        return g;
    }
}

/// <summary>BF16: eight elements a granule.</summary>
internal readonly struct Bf16Weights : IWeightFormat
{
    public static int Words => 2;

    public static bool HasHigh => false;

    public static Granule Load(WeightPlanes weights, int row, int i) => F32Weights.Load(weights, row, i);

    public static F4 Low(Granule g) => F4.Of(
        HalfBits.LowBrain(g.Bits.X), HalfBits.HighBrain(g.Bits.X), HalfBits.LowBrain(g.Bits.Y), HalfBits.HighBrain(g.Bits.Y));

    public static F4 High(Granule g) => default;

    public static int LowColumn(int i, int word) => (2 * i) + word;

    public static int HighColumn(int i, int word) => 0;

    public static Granule Next(Granule g) => F16Weights.Next(g);
}
