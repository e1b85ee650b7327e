using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Kernels;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>A weight matrix in device memory, arranged as <see cref="WeightLayout"/> says.</summary>
internal sealed class GpuMatrix : WeightMatrix
{
    private readonly GpuBuffer _quants;
    private readonly GpuBuffer _scales;
    private readonly int _rowUnits;
    private readonly int _rowScales;

    /// <summary>Copies a matrix to the device.</summary>
    public GpuMatrix(GpuQueue queue, TensorData data)
        : base(data.Format, data.Rows, data.Columns)
    {
        _rowUnits = WeightLayout.RowUnits(data.Format, data.Columns);
        _rowScales = WeightLayout.RowScales(data.Format, data.Columns);
        Granules = WeightLayout.Granules(data.Format, data.Columns);
        string purpose = $"a {data.Format} matrix [{data.Rows}, {data.Columns}]";
        _quants = new GpuBuffer(queue, (long)data.Rows * _rowUnits * WeightLayout.UnitBytes, purpose);
        try
        {
            _scales = new GpuBuffer(queue, (long)data.Rows * _rowScales * sizeof(ushort), purpose);
            Upload(queue, data);
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
        Quants = _quants.View<U4>(),
        Scales = _scales.View<ushort>(),
        RowUnits = _rowUnits,
        RowScales = _rowScales,
    };

    /// <inheritdoc/>
    public override long DeviceBytes => _quants.Bytes + _scales.Bytes;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        _quants.Dispose();
        _scales?.Dispose();
    }

    private void Upload(GpuQueue queue, TensorData data)
    {
        int quantBytes = _rowUnits * WeightLayout.UnitBytes, scaleBytes = _rowScales * sizeof(ushort);
        int rowsAtOnce = Math.Max(1, StagingBuffer.Bytes / 4 / Math.Max(quantBytes, 1));
        var scales = new ushort[rowsAtOnce * _rowScales];
        for (int first = 0; first < data.Rows; first += rowsAtOnce)
        {
            int rows = Math.Min(rowsAtOnce, data.Rows - first);
            Span<byte> quants = queue.Stage(rows * quantBytes, _quants, (long)first * quantBytes);
            for (int row = 0; row < rows; row++)
                WeightLayout.Pack(data.Format, data.Row(first + row), quants.Slice(row * quantBytes, quantBytes), scales.AsSpan(row * _rowScales, _rowScales));
            queue.Commit(rows * quantBytes, _quants, (long)first * quantBytes);
            queue.Upload<ushort>(scales.AsSpan(0, rows * _rowScales), _scales, (long)first * scaleBytes);
        }

        queue.Synchronize();
    }
}
