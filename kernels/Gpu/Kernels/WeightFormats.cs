using ILGPU;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>
/// 16 bytes of weights of one output, with what it takes to decode them. Formats use what they need; the rest costs nothing.
/// </summary>
internal struct Granule
{
    /// <summary>The weights, or their low bits; the word in turn comes first.</summary>
    public U4 Bits;

    /// <summary>Their upper bits, where the format keeps them apart.</summary>
    public U4 Upper;

    /// <summary>Factor and subtrahend of the low nibbles, or of all.</summary>
    public float Scale;
    public float Min;

    /// <summary>Factor and subtrahend of the high nibbles.</summary>
    public float HighScale;
    public float HighMin;
}

/// <summary>
/// How a weight format, in the arrangement of <see cref="Memory.WeightLayout"/>, is read in granules of 16 bytes. A granule is decoded in
/// <see cref="Words"/> steps of four elements, or of twice four where a byte holds two elements.
/// </summary>
internal interface IWeightFormat
{
    /// <summary>Steps of a granule.</summary>
    static abstract int Words { get; }

    /// <summary>Whether each step also decodes four elements from the high nibbles.</summary>
    static abstract bool HasHigh { get; }

    /// <summary>Loads granule <paramref name="i"/> of an output. <paramref name="row"/> counts outputs.</summary>
    static abstract Granule Load(WeightPlanes weights, int row, int i);

    /// <summary>The four elements in turn.</summary>
    static abstract F4 Low(Granule granule);

    /// <summary>The four elements of the high nibbles in turn.</summary>
    static abstract F4 High(Granule granule);

    /// <summary>Where, in fours, the low elements of step <paramref name="word"/> of granule <paramref name="i"/> stand in the row.</summary>
    static abstract int LowColumn(int i, int word);

    /// <summary>Where the high elements stand.</summary>
    static abstract int HighColumn(int i, int word);

    /// <summary>The granule with the next step in turn.</summary>
    static abstract Granule Next(Granule granule);
}

/// <summary>A weight matrix in device memory.</summary>
internal struct WeightPlanes
{
    /// <summary>The quants, or plain elements: each row a whole number of 16-byte units.</summary>
    public ArrayView<U4> Quants;

    /// <summary>Half-precision block scales of the formats that keep them apart.</summary>
    public ArrayView<ushort> Scales;

    /// <summary>Units of a row.</summary>
    public int RowUnits;

    /// <summary>Scales of a row.</summary>
    public int RowScales;
}
