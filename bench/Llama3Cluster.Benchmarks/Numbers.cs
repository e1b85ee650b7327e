using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Benchmarks;

/// <summary>Seeded numbers from -1 to 1.</summary>
internal static class Numbers
{
    public static float[] Uniform(int count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (random.NextSingle() * 2) - 1;
        return values;
    }

    /// <summary>A tensor of them.</summary>
    public static DeviceTensor Tensor(ComputeDevice device, int rows, int columns, int seed)
    {
        DeviceTensor tensor = device.Allocate(rows, columns);
        tensor.Upload(Uniform(rows * columns, seed));
        return tensor;
    }
}
