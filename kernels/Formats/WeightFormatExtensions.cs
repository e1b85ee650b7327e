namespace Llama3Cluster.Kernels.Formats;

/// <summary>Sizes of the weight formats.</summary>
public static class WeightFormatExtensions
{
    /// <summary>Elements in one block: 1 for the plain formats, 32 or 256 for the quantized ones.</summary>
    public static int ElementsPerBlock(this WeightFormat format) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 => 1,
        WeightFormat.Q8_0 or WeightFormat.Q4_0 => 32,
        WeightFormat.Q4_K or WeightFormat.Q5_K or WeightFormat.Q6_K => 256,
        _ => throw Unknown(format),
    };

    /// <summary>Bytes in one block.</summary>
    public static int BytesPerBlock(this WeightFormat format) => format switch
    {
        WeightFormat.F32 => 4,
        WeightFormat.F16 or WeightFormat.BF16 => 2,
        WeightFormat.Q8_0 => 34,
        WeightFormat.Q4_0 => 18,
        WeightFormat.Q4_K => 144,
        WeightFormat.Q5_K => 176,
        WeightFormat.Q6_K => 210,
        _ => throw Unknown(format),
    };

    /// <summary>Bytes of a row of <paramref name="columns"/> elements.</summary>
    /// <exception cref="ArgumentException">The row is not a whole number of blocks.</exception>
    public static long RowBytes(this WeightFormat format, int columns)
    {
        int block = format.ElementsPerBlock();
        if (columns <= 0 || columns % block != 0)
            throw new ArgumentException($"a {format} row must be a positive multiple of {block} elements, not {columns}", nameof(columns));
        return (long)(columns / block) * format.BytesPerBlock();
    }

    private static ArgumentOutOfRangeException Unknown(WeightFormat format) =>
        new(nameof(format), format, "unknown weight format");
}
