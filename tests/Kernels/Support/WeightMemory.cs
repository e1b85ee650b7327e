using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>An encoded weight tensor in native memory, as a mapped file would hold it: at any address, nothing readable promised beyond.</summary>
internal sealed unsafe class WeightMemory : IDisposable
{
    private byte* _allocation;

    /// <summary>Encodes values.</summary>
    /// <param name="format">The format.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="values">Row-major values.</param>
    /// <param name="offset">Bytes that the first element lies off a 64-byte boundary.</param>
    public WeightMemory(WeightFormat format, int rows, int columns, ReadOnlySpan<float> values, int offset = 2)
    {
        long bytes = format.RowBytes(columns) * rows;
        _allocation = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes + offset), 64);
        Data = new TensorData(format, rows, columns, (nint)(_allocation + offset));
        for (int row = 0; row < rows; row++)
        {
            var destination = new Span<byte>((byte*)Data.Address + (row * Data.RowBytes), (int)Data.RowBytes);
            BlockEncoder.Quantize(format, values.Slice(row * columns, columns), destination);
        }
    }

    public TensorData Data { get; }

    /// <summary>The values that the encoding kept.</summary>
    public float[] Decoded()
    {
        var values = new float[Data.Rows * Data.Columns];
        for (int row = 0; row < Data.Rows; row++)
            BlockCodec.Dequantize(Data.Format, Data.Row(row), values.AsSpan(row * Data.Columns, Data.Columns));
        return values;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_allocation);
        _allocation = null;
    }
}
