using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Benchmarks;

/// <summary>
/// Copies of a random matrix, taken in turn: together more than a cache holds, as the matrices of a model are. One alone would be
/// read from the cache, and faster than any model's.
/// </summary>
internal sealed unsafe class Matrices : IDisposable
{
    private const long LeastBytes = 256L << 20;
    private const int DistinctRows = 16;

    private readonly byte* _data;
    private readonly WeightMatrix[] _copies;
    private int _next;

    public Matrices(ComputeDevice device, WeightFormat format, int rows, int columns)
    {
        long rowBytes = format.RowBytes(columns), bytes = rowBytes * rows;
        _copies = new WeightMatrix[(int)((LeastBytes + bytes - 1) / bytes)];
        _data = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes * _copies.Length), 64);

        // Encoding takes long, and the time of a product does not depend on the numbers: a few rows serve for all.
        var encoded = new byte[DistinctRows * rowBytes];
        for (int row = 0; row < DistinctRows; row++)
            BlockEncoder.Quantize(format, Numbers.Uniform(columns, row), encoded.AsSpan((int)(row * rowBytes), (int)rowBytes));
        for (long at = 0; at < bytes * _copies.Length; at += encoded.Length)
            encoded.CopyTo(new Span<byte>(_data + at, encoded.Length));
        for (int i = 0; i < _copies.Length; i++)
            _copies[i] = device.LoadMatrix(new TensorData(format, rows, columns, (nint)(_data + (bytes * i))));
    }

    /// <summary>The copy whose turn it is.</summary>
    public WeightMatrix Next() => _copies[_next = (_next + 1) % _copies.Length];

    public void Dispose()
    {
        foreach (WeightMatrix copy in _copies)
            copy.Dispose();
        NativeMemory.AlignedFree(_data);
    }
}
