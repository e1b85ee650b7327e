using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>Seeded numbers, and copies between tensors and arrays.</summary>
internal static class Values
{
    /// <summary>Normally distributed values.</summary>
    public static float[] Normal(int count, int seed, float deviation = 1)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (float)(deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return values;
    }

    /// <summary>Values uniform in [-1, 1).</summary>
    public static float[] Uniform(int count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (2 * random.NextSingle()) - 1;
        return values;
    }

    /// <summary>A tensor that holds the values.</summary>
    public static DeviceTensor Tensor(this ComputeDevice device, int rows, int columns, ReadOnlySpan<float> values)
    {
        DeviceTensor tensor = device.Allocate(rows, columns);
        tensor.Upload(values);
        return tensor;
    }

    /// <summary>The first rows of a tensor.</summary>
    public static float[] Read(this DeviceTensor tensor, int rows)
    {
        var values = new float[rows * tensor.Columns];
        tensor.Download(0, values);
        return values;
    }

    /// <summary>The bit patterns, so that comparisons tell -0 from 0 and see NaNs as equal to themselves.</summary>
    public static uint[] Bits(this ReadOnlySpan<float> values)
    {
        var bits = new uint[values.Length];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = BitConverter.SingleToUInt32Bits(values[i]);
        return bits;
    }

    /// <inheritdoc cref="Bits(ReadOnlySpan{float})"/>
    public static uint[] Bits(this float[] values) => Bits(values.AsSpan());

    /// <inheritdoc cref="Bits(ReadOnlySpan{float})"/>
    public static uint[] Bits(this Span<float> values) => Bits((ReadOnlySpan<float>)values);
}
