using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Gateway.Local.SelfTest;

/// <summary>Random weights of a format, where a mapped file would hold them.</summary>
internal sealed unsafe class SelfTestMatrix : IDisposable
{
    private void* _memory;

    public SelfTestMatrix(WeightFormat format, int rows, int columns, int seed)
    {
        long rowBytes = format.RowBytes(columns);
        _memory = NativeMemory.AlignedAlloc((nuint)(rows * rowBytes), 64);
        Data = new TensorData(format, rows, columns, (nint)_memory);
        float[] values = Numbers(rows * columns, seed, 1f / 32);
        for (int row = 0; row < rows; row++)
            BlockEncoder.Quantize(format, values.AsSpan(row * columns, columns), new Span<byte>((byte*)_memory + (row * rowBytes), (int)rowBytes));
    }

    public TensorData Data { get; }

    /// <summary>Seeded numbers, uniform in a range around 0.</summary>
    public static float[] Numbers(int count, int seed, float range = 1)
    {
        var random = new Random(seed);
        var numbers = new float[count];
        foreach (ref float number in numbers.AsSpan())
            number = ((2 * random.NextSingle()) - 1) * range;
        return numbers;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
