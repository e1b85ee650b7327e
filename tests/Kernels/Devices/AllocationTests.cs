using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>Operations must not allocate once they have run at their size. Runs alone: one of the counters is the process's.</summary>
[Collection(nameof(Alone))]
public class AllocationTests
{
    private const int Rows = 40;
    private const int Hidden = 256;
    private const int Vocabulary = 700;

    [CollectionDefinition(nameof(Alone), DisableParallelization = true)]
    public sealed class Alone;

    public static TheoryData<string, WeightFormat> Formats => new EveryDeviceWith<WeightFormat>();

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_step_must_allocate_nothing(string name, WeightFormat format)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var memory = new WeightMemory(format, Vocabulary, Hidden, Values.Normal(Vocabulary * Hidden, seed: 1));
        using WeightMatrix weights = device.LoadMatrix(memory.Data);
        using DeviceTensor x = device.Allocate(Rows, Hidden), y = device.Allocate(Rows, Hidden), logits = device.Allocate(Rows, Vocabulary);
        using DeviceTensor k = device.Allocate(Rows, Hidden / 2), v = device.Allocate(Rows, Hidden / 2), angles = device.Allocate(Rows, 32);
        using DeviceTensor gain = device.Allocate(1, Hidden), frequencies = device.Allocate(2, 16);
        using KvCache halves = device.AllocateKv(new KvShape(1, 80, 4, 32, KvFormat.F16));
        using KvCache quantized = device.AllocateKv(new KvShape(1, 80, 4, 32, KvFormat.Q8_0));
        KvCache[] caches = [halves, quantized];
        using DeviceBatch prefill = device.AllocateBatch(Rows, 4, 160), decode = device.AllocateBatch(Rows, 4, 160);
        prefill.Load(Batch((0, 30), (600, 10)));
        decode.Load(Batch((610, 1)));
        var indices = new int[Rows];
        var best = new Candidate[Rows * 20];

        Step();
        long bytes = long.MaxValue, threadBytes = long.MaxValue;
        for (int attempt = 0; attempt < 50 && (bytes > 0 || threadBytes > 0); attempt++)
        {
            // Other threads of the test runner allocate now and then; an operation would do so every time.
            long before = GC.GetTotalAllocatedBytes(precise: true), threadBefore = GC.GetAllocatedBytesForCurrentThread();
            Step();
            threadBytes = Math.Min(threadBytes, GC.GetAllocatedBytesForCurrentThread() - threadBefore);
            bytes = Math.Min(bytes, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.Equal(0, threadBytes);
        Assert.Equal(0, bytes);

        void Step()
        {
            Run(prefill);
            Run(decode);
            device.Synchronize();
        }

        void Run(DeviceBatch batch)
        {
            int rows = batch.RowCount;
            device.Embed(weights, batch, x);
            device.RmsNorm(x, gain, 1e-5f, rows, y);
            device.RopeAngles(frequencies, batch, angles);
            foreach (KvCache cache in caches)
            {
                device.RopeAndAppendKv(x, k, v, angles, RopePairing.Halves, cache, 0, batch);
                device.PagedAttention(x, cache, 0, batch, y);
            }

            device.SwiGlu(x, y, rows, y);
            device.Add(x, y, rows);
            device.SelectLogitRows(x, batch, y);
            device.Linear(weights, y, rows, logits);
            device.ArgMax(logits, batch.LogitRowCount, indices);
            if (device.Kind != DeviceKind.Host)
                device.TopCandidates(logits, batch.LogitRowCount, 20, best);
        }
    }

    private static RaggedBatch Batch(params (int First, int Count)[] sequences)
    {
        var batch = new RaggedBatch(Rows, 4, 160);
        foreach ((int first, int count) in sequences)
            batch.WantLogits(batch.Add(first, new int[count], [.. Enumerable.Range(first > 0 ? 2 : 0, (first + count + 15) / 16)]));
        return batch;
    }
}
