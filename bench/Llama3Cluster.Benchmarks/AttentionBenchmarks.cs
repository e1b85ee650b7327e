using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Parameters;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Benchmarks;

/// <summary>
/// Attention of one layer of the 1B shape over a half-precision cache: a prefill chunk after some context, and one row of each of
/// several sequences that have so much context each.
/// </summary>
public class AttentionBenchmarks
{
    private const int Heads = 32, KvHeads = 8, HeadDim = 64, ChunkRows = 256;

    private CpuDevice _device = null!;
    private KvCache _cache = null!;
    private DeviceBatch _batch = null!;
    private DeviceTensor _query = null!;
    private DeviceTensor _output = null!;

    [Params(1, 2)]
    public int Threads { get; set; }

    [Params(0, 512, 4096)]
    public int Context { get; set; }

    [Params("prefill 256", "decode x 1", "decode x 8")]
    public string Batch { get; set; } = "";

    internal static Work WorkOf(string benchmark, ParameterInstances parameters)
    {
        (int sequences, int rows) = Size((string)parameters["Batch"]);
        double context = (int)parameters["Context"];
        double pairs = sequences * rows * (context + ((rows + 1) / 2.0));
        double cached = sequences * (context + rows) * 2 * KvHeads * HeadDim * 2;
        return new Work(rows == 1 ? cached : 0, pairs * Heads * HeadDim * 4);
    }

    [GlobalSetup]
    public void Setup()
    {
        (int sequences, int rows) = Size(Batch);
        int blocks = (Context + rows + KvShape.BlockSize - 1) / KvShape.BlockSize;
        _device = new CpuDevice(Threads);
        var shape = new KvShape(1, sequences * blocks, KvHeads, HeadDim, KvFormat.F16);
        _cache = _device.AllocateKv(shape);
        Fill((HostKvCache)_cache);

        var ragged = new RaggedBatch(sequences * rows, sequences, sequences * blocks);
        for (int i = 0; i < sequences; i++)
            ragged.Add(Context, new int[rows], [.. Enumerable.Range(i * blocks, blocks)]);
        _batch = _device.AllocateBatch(ragged.RowCount, sequences, ragged.BlockCount);
        _batch.Load(ragged);
        _query = Numbers.Tensor(_device, ragged.RowCount, Heads * HeadDim, seed: 1);
        _output = _device.Allocate(ragged.RowCount, Heads * HeadDim);
    }

    [Benchmark]
    public void PagedAttention() => _device.PagedAttention(_query, _cache, 0, _batch, _output);

    [GlobalCleanup]
    public void Cleanup()
    {
        _output.Dispose();
        _query.Dispose();
        _batch.Dispose();
        _cache.Dispose();
        _device.Dispose();
    }

    private static (int Sequences, int Rows) Size(string batch) => batch switch
    {
        "decode x 1" => (1, 1),
        "decode x 8" => (8, 1),
        _ => (1, ChunkRows),
    };

    private static unsafe void Fill(HostKvCache cache)
    {
        Half[] block = [.. Numbers.Uniform(KvShape.BlockSize * HeadDim, seed: 2).Select(value => (Half)value)];
        for (int i = 0; i < cache.Shape.Blocks; i++)
        {
            for (int head = 0; head < KvHeads; head++)
            {
                block.CopyTo(new Span<Half>(cache.Keys(0, i, head), block.Length));
                block.CopyTo(new Span<Half>(cache.Values(0, i, head), block.Length));
            }
        }
    }
}
