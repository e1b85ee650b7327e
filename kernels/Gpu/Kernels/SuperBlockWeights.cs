using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>What Q4_K and Q5_K share: a head of 16 bytes, and nibbles of two sub-blocks in every 32 bytes.</summary>
internal static class SuperBlocks
{
    /// <summary>Granules of a block of 256 elements.</summary>
    public const int Granules = 8;

    private const int FoursPerBlock = 64;

    /// <summary>Sets the factors and subtrahends of the two sub-blocks that granule <paramref name="j"/> of a block belongs to.</summary>
    public static Granule WithScales(Granule g, U4 head, int j)
    {
        float d = HalfBits.ToSingle(head.X & 0xFFFF), min = HalfBits.ToSingle(head.X >> 16);
        int pair = j >> 1, shift = 16 * (pair & 1);

        // The six bits of sub-blocks 0 to 3 are whole in their bytes; those of 4 to 7 are split (see SubScales).
        bool later = pair >= 2;
        uint scales = head.Y >> shift, mins = head.Z >> shift, lows = head.W >> shift;
        uint scaleBytes = later ? (lows & 0x0F0F) | ((scales >> 2) & 0x3030) : scales & 0x3F3F;
        uint minBytes = later ? ((lows >> 4) & 0x0F0F) | ((mins >> 2) & 0x3030) : mins & 0x3F3F;
        g.Scale = d * (int)(scaleBytes & 0xFF);
        g.HighScale = d * (int)((scaleBytes >> 8) & 0xFF);
        g.Min = min * (int)(minBytes & 0xFF);
        g.HighMin = min * (int)((minBytes >> 8) & 0xFF);
        return g;
    }

    /// <summary>The place of a granule's low elements: two granules a sub-block of 32.</summary>
    public static int LowColumn(int i, int word)
    {
        int j = i & (Granules - 1);
        return ((i >> 3) * FoursPerBlock) + ((j >> 1) * 16) + ((j & 1) * 4) + word;
    }
}

/// <summary>Q4_K: nine units a block, the head first.</summary>
internal readonly struct Q4KWeights : IWeightFormat
{
    private const int Units = 9;

    public static int Words => 4;

    public static bool HasHigh => true;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        int j = i & (SuperBlocks.Granules - 1);
        long block = ((long)row * weights.RowUnits) + ((i >> 3) * Units);
        Granule g = default;
        g.Bits = weights.Quants[block + 1 + j];
        return SuperBlocks.WithScales(g, weights.Quants[block], j);
    }

    public static F4 Low(Granule g) => Unpack.Affine(Unpack.Bytes(g.Bits.X & 0x0F0F0F0F, 0), g.Scale, g.Min);

    public static F4 High(Granule g) => Unpack.Affine(Unpack.Bytes((g.Bits.X >> 4) & 0x0F0F0F0F, 0), g.HighScale, g.HighMin);

    public static int LowColumn(int i, int word) => SuperBlocks.LowColumn(i, word);

    public static int HighColumn(int i, int word) => SuperBlocks.LowColumn(i, word) + 8;

    public static Granule Next(Granule g) => Q8Weights.Next(g);
}

/// <summary>Q5_K: eleven units a block: the head, two units of fifth bits, the nibbles.</summary>
internal readonly struct Q5KWeights : IWeightFormat
{
    private const int Units = 11;

    public static int Words => 4;

    public static bool HasHigh => true;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        int j = i & (SuperBlocks.Granules - 1);
        long block = ((long)row * weights.RowUnits) + ((i >> 3) * Units);
        Granule g = default;
        g.Bits = weights.Quants[block + 3 + j];
        U4 upper = weights.Quants[block + 1 + (j & 1)];

        // The fifth bits of the granule's two sub-blocks, moved to bits 0 and 1 of their bytes.
        int shift = j & 6;
        g.Upper.X = (upper.X >> shift) & 0x03030303;
        g.Upper.Y = (upper.Y >> shift) & 0x03030303;
        g.Upper.Z = (upper.Z >> shift) & 0x03030303;
        g.Upper.W = (upper.W >> shift) & 0x03030303;
        return SuperBlocks.WithScales(g, weights.Quants[block], j);
    }

    public static F4 Low(Granule g) =>
        Unpack.Affine(Unpack.Bytes((g.Bits.X & 0x0F0F0F0F) | ((g.Upper.X & 0x01010101) << 4), 0), g.Scale, g.Min);

    public static F4 High(Granule g) =>
        Unpack.Affine(Unpack.Bytes(((g.Bits.X >> 4) & 0x0F0F0F0F) | ((g.Upper.X & 0x02020202) << 3), 0), g.HighScale, g.HighMin);

    public static int LowColumn(int i, int word) => SuperBlocks.LowColumn(i, word);

    public static int HighColumn(int i, int word) => SuperBlocks.LowColumn(i, word) + 8;

    public static Granule Next(Granule g)
    {
        g.Bits = Unpack.Rotated(g.Bits);
        g.Upper = Unpack.Rotated(g.Upper);
        return g;
    }
}

/// <summary>
/// Q6_K: thirteen units a block: eight of nibbles, four of upper pairs of bits, one of scales; the block's own scale lies apart.
/// </summary>
internal readonly struct Q6KWeights : IWeightFormat
{
    private const int Units = 13;
    private const int UpperUnits = 8;
    private const int ScaleUnit = 12;
    private const float Offset = 32;

    public static int Words => 4;

    public static bool HasHigh => true;

    public static Granule Load(WeightPlanes weights, int row, int i)
    {
        // Half a block is four granules: runs 0 and 2, then 1 and 3, each in two parts of 16 elements.
        int j = i & 7, half = j >> 2, run = (j >> 1) & 1, part = j & 1;
        long block = ((long)row * weights.RowUnits) + ((i >> 3) * Units);
        Granule g = default;
        g.Bits = weights.Quants[block + j];
        U4 upper = weights.Quants[block + UpperUnits + (2 * half) + part];

        // The pairs of runs r and r + 2 are 4 bits apart: bits 0-1 and 4-5 of each byte.
        int shift = 2 * run;
        g.Upper.X = (upper.X >> shift) & 0x33333333;
        g.Upper.Y = (upper.Y >> shift) & 0x33333333;
        g.Upper.Z = (upper.Z >> shift) & 0x33333333;
        g.Upper.W = (upper.W >> shift) & 0x33333333;

        U4 scales = weights.Quants[block + ScaleUnit];
        int index = (2 * run) + part;
        float d = HalfBits.ToSingle(weights.Scales[((long)row * weights.RowScales) + (i >> 3)]);
        g.Scale = d * SignedByte(half == 0 ? scales.X : scales.Z, index);
        g.HighScale = d * SignedByte(half == 0 ? scales.Y : scales.W, index);
        return g;
    }

    public static F4 Low(Granule g) =>
        Unpack.Scaled(Unpack.Bytes((g.Bits.X & 0x0F0F0F0F) | ((g.Upper.X & 0x03030303) << 4), Offset), g.Scale);

    public static F4 High(Granule g) =>
        Unpack.Scaled(Unpack.Bytes(((g.Bits.X >> 4) & 0x0F0F0F0F) | (g.Upper.X & 0x30303030), Offset), g.HighScale);

    public static int LowColumn(int i, int word)
    {
        int j = i & 7;
        return ((i >> 3) * 64) + ((j >> 2) * 32) + (((j >> 1) & 1) * 8) + ((j & 1) * 4) + word;
    }

    public static int HighColumn(int i, int word) => LowColumn(i, word) + 16;

    public static Granule Next(Granule g) => Q5KWeights.Next(g);

    private static int SignedByte(uint word, int index) => (int)(word << (24 - (8 * index))) >> 24;
}
