using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Devices;

/// <summary>A float32 tensor [rows, columns] in a device's memory, row-major.</summary>
public abstract class DeviceTensor(int rows, int columns) : IDisposable
{
    /// <summary>Rows allocated.</summary>
    public int Rows { get; } = rows;

    /// <summary>Elements of a row.</summary>
    public int Columns { get; } = columns;

    /// <summary>Bytes of its elements.</summary>
    public long ByteCount => (long)Rows * Columns * sizeof(float);

    /// <summary>Copies whole rows from the host, from row 0 on.</summary>
    public abstract void Upload(ReadOnlySpan<float> source);

    /// <summary>Copies whole rows to the host, from <paramref name="firstRow"/> on.</summary>
    public abstract void Download(int firstRow, Span<float> destination);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the device memory.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Checks that a copy covers whole rows inside the tensor and returns their number.</summary>
    protected int CheckRows(int firstRow, int elements)
    {
        if (firstRow < 0 || elements % Columns != 0 || firstRow + (elements / Columns) > Rows)
            throw new ArgumentException($"{elements} elements from row {firstRow} do not fit whole rows of a [{Rows}, {Columns}] tensor");
        return elements / Columns;
    }
}

/// <summary>A weight matrix [rows = output features, columns = input features] as a device holds it.</summary>
public abstract class WeightMatrix(WeightFormat format, int rows, int columns) : IDisposable
{
    /// <summary>The format of the weights in their file.</summary>
    public WeightFormat Format { get; } = format;

    /// <summary>Output features.</summary>
    public int Rows { get; } = rows;

    /// <summary>Input features.</summary>
    public int Columns { get; } = columns;

    /// <summary>Bytes of device memory beyond the mapped file.</summary>
    public virtual long DeviceBytes => 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the device holds beyond the mapped file.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>The paged keys and values of a slice's layers in a device's memory.</summary>
public abstract class KvCache(KvShape shape) : IDisposable
{
    /// <summary>Its size.</summary>
    public KvShape Shape { get; } = shape;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the device memory.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>A <see cref="RaggedBatch"/> that a device can read. Refilled for every step with <see cref="Load"/>.</summary>
public abstract class DeviceBatch : IDisposable
{
    /// <summary>Rows of the loaded batch.</summary>
    public abstract int RowCount { get; }

    /// <summary>Rows of the loaded batch whose logits are wanted.</summary>
    public abstract int LogitRowCount { get; }

    /// <summary>Makes a batch known to the device. The batch must not change until the device has finished its operations.</summary>
    public abstract void Load(RaggedBatch batch);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the device memory.</summary>
    protected abstract void Dispose(bool disposing);
}
