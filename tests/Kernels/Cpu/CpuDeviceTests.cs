using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Cpu;

public class CpuDeviceTests
{
    [Fact]
    public void Name_must_tell_path_and_threads()
    {
        using var one = new CpuDevice(1, SimdPath.Vector128);
        Assert.Equal($"cpu ({SimdPaths.NameOf(SimdPath.Vector128)}, 1 thread)", one.Name);
        using var all = new CpuDevice();
        Assert.Equal($"cpu ({SimdPaths.NameOf(SimdPaths.Best)}, {Environment.ProcessorCount} thread{(Environment.ProcessorCount == 1 ? "" : "s")})", all.Name);
    }

    [Fact]
    public void A_negative_number_of_threads_must_be_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new CpuDevice(-1));

    [Fact]
    public void Tensors_of_the_wrong_shape_must_be_refused()
    {
        using var device = new CpuDevice(1);
        using var memory = new WeightMemory(WeightFormat.F32, 3, 8, new float[24]);
        using WeightMatrix weights = device.LoadMatrix(memory.Data);
        using DeviceTensor x = device.Allocate(2, 8), y = device.Allocate(2, 3), narrow = device.Allocate(2, 7), vector = device.Allocate(1, 8);

        Refuses(() => device.Linear(weights, x, 3, y));
        Refuses(() => device.Linear(weights, x, -1, y));
        Refuses(() => device.Linear(weights, narrow, 2, y));
        Refuses(() => device.Linear(weights, x, 2, narrow));
        Refuses(() => device.RmsNorm(x, narrow, 1e-5f, 2, x));
        Refuses(() => device.RmsNorm(x, vector, 1e-5f, 2, narrow));
        Refuses(() => device.RmsNorm(x, vector, 1e-5f, 3, x));
        Refuses(() => device.SwiGlu(x, narrow, 2, x));
        Refuses(() => device.Add(x, narrow, 2));
        Refuses(() => device.Add(x, vector, 2));
        Refuses(() => device.ArgMax(x, 2, new int[1]));
    }

    [Fact]
    public void Tokens_outside_the_table_must_be_refused()
    {
        using var device = new CpuDevice(1);
        using var memory = new WeightMemory(WeightFormat.F32, 3, 8, new float[24]);
        using WeightMatrix table = device.LoadMatrix(memory.Data);
        using DeviceTensor output = device.Allocate(1, 8);
        using DeviceBatch batch = device.AllocateBatch(1, 1, 1);
        foreach (int token in new[] { -1, 3 })
        {
            var rows = new RaggedBatch(1, 1, 1);
            rows.Add(0, [token], [0]);
            batch.Load(rows);
            Refuses(() => device.Embed(table, batch, output));
        }
    }

    [Fact]
    public void Blocks_and_layers_outside_the_cache_must_be_refused()
    {
        using var device = new CpuDevice(1);
        using KvCache cache = device.AllocateKv(new KvShape(1, 4, 1, 8, KvFormat.F16));
        using DeviceTensor q = device.Allocate(1, 16), k = device.Allocate(1, 8), v = device.Allocate(1, 8), angles = device.Allocate(1, 8);
        using DeviceTensor partHeads = device.Allocate(1, 12);
        using DeviceBatch batch = device.AllocateBatch(1, 1, 1);
        foreach ((int block, int layer) in new[] { (4, 0), (-1, 0), (0, 1), (0, -1) })
        {
            Load(block);
            Refuses(() => device.RopeAndAppendKv(q, k, v, angles, RopePairing.Halves, cache, layer, batch));
            Refuses(() => device.PagedAttention(q, cache, layer, batch, q));
        }

        Load(3);
        Refuses(() => device.PagedAttention(partHeads, cache, 0, batch, partHeads));
        device.RopeAndAppendKv(q, k, v, angles, RopePairing.Halves, cache, 0, batch);

        void Load(int block)
        {
            var rows = new RaggedBatch(1, 1, 1);
            rows.Add(0, [0], [block]);
            batch.Load(rows);
        }
    }

    [Fact]
    public void Disposed_tensors_must_be_refused()
    {
        using var device = new CpuDevice(1);
        DeviceTensor gone = device.Allocate(1, 8);
        using DeviceTensor x = device.Allocate(1, 8);
        gone.Dispose();
        Assert.Throws<ObjectDisposedException>(() => device.Add(x, gone, 1));
    }

    private static void Refuses(Action operation) =>
        Assert.False(string.IsNullOrWhiteSpace(Assert.ThrowsAny<ArgumentException>(operation).Message));
}
