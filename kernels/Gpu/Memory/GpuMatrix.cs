using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Kernels;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>A weight matrix in device memory, arranged as <see cref="WeightLayout"/> says, as <see cref="TileLayout"/> says, or both.</summary>
internal sealed class GpuMatrix : WeightMatrix
{
    private readonly GpuBuffer? _quants;
    private readonly GpuBuffer? _scales;
    private readonly GpuBuffer? _tiles;
    private readonly int _rowUnits;
    private readonly int _rowScales;

    /// <summary>Copies a matrix to the device.</summary>
    /// <param name="queue">The queue that copies.</param>
    /// <param name="data">The matrix in its file.</param>
    /// <param name="planes">Whether kernels for every device will read it.</param>
    /// <param name="tiles">Whether kernels for tensor cores will read it.</param>
    public GpuMatrix(GpuQueue queue, TensorData data, bool planes = true, bool tiles = false)
        : base(data.Format, data.Rows, data.Columns)
    {
        _rowUnits = WeightLayout.RowUnits(data.Format, data.Columns);
        _rowScales = WeightLayout.RowScales(data.Format, data.Columns);
        Granules = WeightLayout.Granules(data.Format, data.Columns);
        string purpose = $"a {data.Format} matrix [{data.Rows}, {data.Columns}]";
        try
        {
            if (tiles)
            {
                _tiles = new GpuBuffer(queue, TileLayout.ByteCount(data.Format, data.Rows, data.Columns), purpose);
                TileUpload.Run(queue, data, _tiles);
            }

            if (planes)
            {
                (long quantBytes, long scaleBytes) = PlaneBytes(data.Format, data.Rows, data.Columns);
                _quants = new GpuBuffer(queue, quantBytes, purpose);
                _scales = new GpuBuffer(queue, scaleBytes, purpose);
                Upload(queue, data, _quants, _scales);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Granules of a row.</summary>
    public int Granules { get; }

    /// <summary>The matrix as kernels take it.</summary>
    public WeightPlanes Planes => new()
    {
        Quants = Planar(_quants).View<U4>(),
        Scales = Planar(_scales).View<ushort>(),
        RowUnits = _rowUnits,
        RowScales = _rowScales,
    };

    /// <summary>Whether kernels for tensor cores can read it.</summary>
    public bool IsTiled => _tiles is not null;

    /// <summary>Address of its tiles.</summary>
    public ulong Tiles => (_tiles ?? throw new InvalidOperationException("the matrix was not loaded in tiles")).Address;

    /// <summary>Bytes of a matrix's planes of quants and of scales.</summary>
    public static (long Quants, long Scales) PlaneBytes(WeightFormat format, int rows, int columns) => (
        checked((long)rows * WeightLayout.RowUnits(format, columns) * WeightLayout.UnitBytes),
        checked((long)rows * WeightLayout.RowScales(format, columns) * sizeof(ushort)));

    /// <inheritdoc/>
    public override long DeviceBytes => (_quants?.Bytes ?? 0) + (_scales?.Bytes ?? 0) + (_tiles?.Bytes ?? 0);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        _quants?.Dispose();
        _scales?.Dispose();
        _tiles?.Dispose();
    }

    private static GpuBuffer Planar(GpuBuffer? plane) =>
        plane ?? throw new InvalidOperationException("the matrix was loaded for products on tensor cores alone");

    private void Upload(GpuQueue queue, TensorData data, GpuBuffer quantPlane, GpuBuffer scalePlane)
    {
        int quantBytes = _rowUnits * WeightLayout.UnitBytes, scaleBytes = _rowScales * sizeof(ushort);
        int rowsAtOnce = Math.Max(1, StagingBuffer.Bytes / 4 / Math.Max(quantBytes, 1));
        var scales = new ushort[rowsAtOnce * _rowScales];
        for (int first = 0; first < data.Rows; first += rowsAtOnce)
        {
            int rows = Math.Min(rowsAtOnce, data.Rows - first);
            Span<byte> quants = queue.Stage(rows * quantBytes, quantPlane, (long)first * quantBytes);
            for (int row = 0; row < rows; row++)
                WeightLayout.Pack(data.Format, data.Row(first + row), quants.Slice(row * quantBytes, quantBytes), scales.AsSpan(row * _rowScales, _rowScales));
            queue.Commit(rows * quantBytes, quantPlane, (long)first * quantBytes);
            queue.Upload<ushort>(scales.AsSpan(0, rows * _rowScales), scalePlane, (long)first * scaleBytes);
        }

        queue.Synchronize();
    }
}
