using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Host;

/// <summary>A float32 tensor in host memory, aligned to 64 bytes.</summary>
public sealed unsafe class HostTensor : DeviceTensor
{
    private const int Alignment = 64;

    private float* _data;

    /// <summary>Allocates a zeroed [rows, columns] tensor.</summary>
    public HostTensor(int rows, int columns)
        : base(rows, columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        nuint bytes = checked((nuint)rows * (nuint)columns * sizeof(float));
        _data = (float*)NativeMemory.AlignedAlloc(bytes, Alignment);
        NativeMemory.Clear(_data, bytes);
        GC.AddMemoryPressure((long)bytes);
    }

    /// <summary>Frees memory that was never disposed.</summary>
    ~HostTensor() => Dispose(false);

    /// <summary>The first element.</summary>
    public float* Data => _data != null ? _data : throw new ObjectDisposedException(nameof(HostTensor));

    /// <summary>The elements of one row.</summary>
    public Span<float> Row(int row)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        return new Span<float>(Data + ((long)row * Columns), Columns);
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<float> source)
    {
        CheckRows(0, source.Length);
        source.CopyTo(new Span<float>(Data, source.Length));
    }

    /// <inheritdoc/>
    public override void Download(int firstRow, Span<float> destination)
    {
        CheckRows(firstRow, destination.Length);
        new ReadOnlySpan<float>(Data + ((long)firstRow * Columns), destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (_data == null)
            return;
        NativeMemory.AlignedFree(_data);
        _data = null;
        GC.RemoveMemoryPressure((long)Rows * Columns * sizeof(float));
    }
}
