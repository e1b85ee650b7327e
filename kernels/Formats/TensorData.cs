namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// A weight tensor as it lies in memory, usually in a mapped file: [rows, columns], row-major. It does not own the memory;
/// whoever mapped the file keeps it alive for as long as a device may read from it.
/// </summary>
/// <param name="Format">How the elements are stored.</param>
/// <param name="Rows">Output features; 1 for a vector.</param>
/// <param name="Columns">Input features: the contiguous dimension.</param>
/// <param name="Address">The first byte, aligned to the format's element at least as the file aligned it.</param>
public readonly record struct TensorData(WeightFormat Format, int Rows, int Columns, nint Address)
{
    /// <summary>Bytes of one row.</summary>
    public long RowBytes => Format.RowBytes(Columns);

    /// <summary>Bytes of the whole tensor.</summary>
    public long ByteCount => RowBytes * Rows;

    /// <summary>The bytes of one row.</summary>
    public unsafe ReadOnlySpan<byte> Row(int row)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        return new ReadOnlySpan<byte>((byte*)Address + (row * RowBytes), checked((int)RowBytes));
    }
}
