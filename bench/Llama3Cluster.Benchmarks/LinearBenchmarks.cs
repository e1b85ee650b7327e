using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Parameters;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Benchmarks;

/// <summary>Activation rows by the matrices of the 1B shape: GB/s counts for few rows, Gop/s for many.</summary>
public class LinearBenchmarks
{
    private CpuDevice _device = null!;
    private Matrices _weights = null!;
    private DeviceTensor _input = null!;
    private DeviceTensor _output = null!;

    [Params(1, 2, Priority = 0)]
    public int Threads { get; set; }

    [Params(
        WeightFormat.F32, WeightFormat.F16, WeightFormat.BF16, WeightFormat.Q8_0, WeightFormat.Q4_0, WeightFormat.Q4_K, WeightFormat.Q5_K,
        WeightFormat.Q6_K, Priority = 1)]
    public WeightFormat Format { get; set; }

    /// <summary>Output x input features: attention's output, the feed-forward's gate and up, its down.</summary>
    [Params("2048x2048", "8192x2048", "2048x8192", Priority = 2)]
    public string Matrix { get; set; } = "";

    [Params(1, 2, 4, 8, 16, 64, 256, Priority = 3)]
    public int Rows { get; set; }

    internal static Work WorkOf(string benchmark, ParameterInstances parameters)
    {
        (int outputs, int inputs) = Size((string)parameters["Matrix"]);
        long weights = ((WeightFormat)parameters["Format"]).RowBytes(inputs) * outputs;
        return new Work(weights, 2.0 * outputs * inputs * (int)parameters["Rows"]);
    }

    [GlobalSetup]
    public void Setup()
    {
        (int outputs, int inputs) = Size(Matrix);
        _device = new CpuDevice(Threads);
        _weights = new Matrices(_device, Format, outputs, inputs);
        _input = Numbers.Tensor(_device, Rows, inputs, seed: 1);
        _output = _device.Allocate(Rows, outputs);
    }

    [Benchmark]
    public void Linear() => _device.Linear(_weights.Next(), _input, Rows, _output);

    [GlobalCleanup]
    public void Cleanup()
    {
        _output.Dispose();
        _input.Dispose();
        _weights.Dispose();
        _device.Dispose();
    }

    private static (int Outputs, int Inputs) Size(string matrix)
    {
        int[] sides = [.. matrix.Split('x').Select(int.Parse)];
        return (sides[0], sides[1]);
    }
}
