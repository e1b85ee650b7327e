using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Parameters;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Benchmarks;

/// <summary>What happens to rows between the products, at the sizes of the 1B shape.</summary>
public class RowBenchmarks
{
    private const int Hidden = 2048, Intermediate = 8192, Vocabulary = 128256;
    private const float Epsilon = 1e-5f;

    private CpuDevice _device = null!;
    private DeviceTensor _hidden = null!;
    private DeviceTensor _gain = null!;
    private DeviceTensor _normed = null!;
    private DeviceTensor _gate = null!;
    private DeviceTensor _up = null!;
    private DeviceTensor _gated = null!;
    private DeviceTensor _logits = null!;
    private int[] _indices = [];

    [Params(1, 2)]
    public int Threads { get; set; }

    [Params(1, 16)]
    public int Rows { get; set; }

    internal static Work WorkOf(string benchmark, ParameterInstances parameters)
    {
        double numbers = benchmark switch
        {
            nameof(RmsNorm) => 2 * Hidden,
            nameof(SwiGlu) => 3 * Intermediate,
            _ => Vocabulary,
        };
        return new Work(numbers * sizeof(float) * (int)parameters["Rows"], 0);
    }

    [GlobalSetup]
    public void Setup()
    {
        _device = new CpuDevice(Threads);
        _hidden = Numbers.Tensor(_device, Rows, Hidden, seed: 1);
        _gain = Numbers.Tensor(_device, 1, Hidden, seed: 2);
        _normed = _device.Allocate(Rows, Hidden);
        _gate = Numbers.Tensor(_device, Rows, Intermediate, seed: 3);
        _up = Numbers.Tensor(_device, Rows, Intermediate, seed: 4);
        _gated = _device.Allocate(Rows, Intermediate);
        _logits = Numbers.Tensor(_device, Rows, Vocabulary, seed: 5);
        _indices = new int[Rows];
    }

    [Benchmark]
    public void RmsNorm() => _device.RmsNorm(_hidden, _gain, Epsilon, Rows, _normed);

    [Benchmark]
    public void SwiGlu() => _device.SwiGlu(_gate, _up, Rows, _gated);

    [Benchmark]
    public int ArgMax()
    {
        _device.ArgMax(_logits, Rows, _indices);
        return _indices[0];
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (DeviceTensor tensor in (DeviceTensor[])[_hidden, _gain, _normed, _gate, _up, _gated, _logits])
            tensor.Dispose();
        _device.Dispose();
    }
}
