using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>
/// How weights lie in device memory: the file's numbers, moved so that every row is whole units of 16 bytes. Q8_0 and Q4_0 keep their block
/// scales in a plane of their own, and so does Q6_K (128 bytes of nibbles, 64 of upper bits, 16 scales; then, apart, d); Q4_K and Q5_K are
/// as in the file. Plain rows are filled up with zeros.
/// </summary>
internal static class WeightLayout
{
    /// <summary>Bytes of a unit.</summary>
    public const int UnitBytes = 16;

    private const int ScaleBytes = 2;

    /// <summary>Units of a row.</summary>
    public static int RowUnits(WeightFormat format, int columns) => format.ElementsPerBlock() == 1
        ? (int)((format.RowBytes(columns) + UnitBytes - 1) / UnitBytes)
        : columns / format.ElementsPerBlock() * QuantBytes(format) / UnitBytes;

    /// <summary>Half-precision scales of a row in the plane of scales.</summary>
    public static int RowScales(WeightFormat format, int columns) => QuantBytes(format) == format.BytesPerBlock() ? 0 : columns / format.ElementsPerBlock();

    /// <summary>Granules of a row: 16 bytes of weights each, without the bytes that describe them.</summary>
    public static int Granules(WeightFormat format, int columns) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 => RowUnits(format, columns),
        WeightFormat.Q8_0 => columns / 16,
        _ => columns / 32,
    };

    /// <summary>Arranges one row.</summary>
    public static void Pack(WeightFormat format, ReadOnlySpan<byte> row, Span<byte> quants, Span<ushort> scales)
    {
        if (scales.IsEmpty)
        {
            row.CopyTo(quants);
            quants[row.Length..].Clear();
            return;
        }

        int block = format.BytesPerBlock(), bytes = QuantBytes(format);

        // Q6_K has its scale at the end of the block, the others have it at the start.
        (int scaleAt, int quantsAt) = format == WeightFormat.Q6_K ? (bytes, 0) : (0, ScaleBytes);
        for (int i = 0; i < scales.Length; i++)
        {
            ReadOnlySpan<byte> source = row.Slice(i * block, block);
            scales[i] = MemoryMarshal.Read<ushort>(source[scaleAt..]);
            source.Slice(quantsAt, bytes).CopyTo(quants[(i * bytes)..]);
        }
    }

    private static int QuantBytes(WeightFormat format) => format switch
    {
        WeightFormat.Q8_0 or WeightFormat.Q4_0 or WeightFormat.Q6_K => format.BytesPerBlock() - ScaleBytes,
        _ => format.BytesPerBlock(),
    };
}
