using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>
/// A tensor in device memory. Rows begin at multiples of eight elements, so that fours can be loaded and the widest granule of weights finds
/// its elements; what fills them up is zero and stays so.
/// </summary>
internal sealed class GpuTensor : DeviceTensor
{
    private const int RowAlignment = 8;

    private readonly GpuQueue _queue;

    /// <summary>Allocates a zeroed tensor.</summary>
    public GpuTensor(GpuQueue queue, int rows, int columns)
        : base(rows, columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        _queue = queue;
        Stride = StrideOf(columns);
        Buffer = new GpuBuffer(queue, BytesOf(rows, columns), $"a [{rows}, {columns}] tensor");
        Elements = Buffer.View<float>();
        Fours = Buffer.View<F4>();
    }

    /// <summary>Elements from row to row.</summary>
    public int Stride { get; }

    /// <summary>Fours from row to row.</summary>
    public int FourStride => Stride / 4;

    /// <summary>The memory.</summary>
    public GpuBuffer Buffer { get; }

    /// <summary>The elements.</summary>
    public ArrayView<float> Elements { get; }

    /// <summary>The elements, four at a time.</summary>
    public ArrayView<F4> Fours { get; }

    /// <summary>Bytes of a tensor.</summary>
    public static long BytesOf(int rows, int columns) => checked((long)rows * StrideOf(columns) * sizeof(float));

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<float> source)
    {
        int rows = CheckRows(0, source.Length);
        if (Stride == Columns)
        {
            _queue.Upload(source, Buffer, 0);
            return;
        }

        for (int row = 0; row < rows; row++)
            _queue.Upload(source.Slice(row * Columns, Columns), Buffer, OffsetOf(row));
    }

    /// <inheritdoc/>
    public override void Download(int firstRow, Span<float> destination)
    {
        int rows = CheckRows(firstRow, destination.Length);
        if (Stride == Columns)
        {
            _queue.Download(Buffer, OffsetOf(firstRow), destination);
            return;
        }

        for (int row = 0; row < rows; row++)
            _queue.Download(Buffer, OffsetOf(firstRow + row), destination.Slice(row * Columns, Columns));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Buffer.Dispose();
    }

    private static int StrideOf(int columns) => checked(columns + RowAlignment - 1) / RowAlignment * RowAlignment;

    private long OffsetOf(int row) => (long)row * Stride * sizeof(float);
}
