using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Tests.Devices;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>Memory of GPUs: what it grants, and copies to and from it. Runs alone: all tests share a device's memory.</summary>
[Collection(nameof(AllocationTests.Alone))]
public class GpuMemoryTests
{
    /// <summary>The GPUs of this machine.</summary>
    public static TheoryData<string> Gpus => [.. GpuUnderTest.Contexts.Select(context => context.Info.Id)];

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void More_than_is_granted_must_be_refused_with_the_numbers(string gpu)
    {
        GpuContext context = GpuUnderTest.Get(gpu);
        using var device = new GpuDevice(context);
        long used = context.Memory.UsedBytes;
        var error = Assert.Throws<DeviceMemoryException>(() => device.AllocateKv(new KvShape(2, 1 << 24, 64, 128, KvFormat.F32)));
        Assert.Contains(gpu, error.Message, StringComparison.Ordinal);
        Assert.Contains("MiB", error.Message, StringComparison.Ordinal);
        Assert.Contains("KV cache", error.Message, StringComparison.Ordinal);
        Assert.Equal(used, context.Memory.UsedBytes);
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Memory_must_be_given_back(string gpu)
    {
        GpuContext context = GpuUnderTest.Get(gpu);
        using var memory = new WeightMemory(WeightFormat.Q6_K, 3, 256, Values.Normal(3 * 256, seed: 1));
        long before = context.Memory.UsedBytes;
        using (var device = new GpuDevice(context))
        using (device.LoadMatrix(memory.Data))
        using (device.Allocate(3, 5))
        using (device.AllocateKv(new KvShape(1, 2, 1, 32, KvFormat.Q8_0)))
        using (device.AllocateBatch(2, 2, 2))
            Assert.True(context.Memory.UsedBytes > before);
        Assert.Equal(before, context.Memory.UsedBytes);
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Copies_must_keep_to_their_part(string gpu)
    {
        using var queue = new GpuQueue(GpuUnderTest.Get(gpu));
        using var buffer = new GpuBuffer(queue, 4096, "a test");
        byte[] part = [.. Enumerable.Range(1, 100).Select(i => (byte)i)], all = new byte[4096], some = new byte[50];
        queue.Upload<byte>(part, buffer, 1000);
        queue.Download<byte>(buffer, 0, all);
        byte[] expected = new byte[4096];
        part.CopyTo(expected, 1000);
        Assert.Equal(expected, all);
        queue.Download<byte>(buffer, 1025, some);
        Assert.Equal(part[25..75], some);
        Assert.Throws<ArgumentOutOfRangeException>(() => queue.Upload<byte>(part, buffer, 4050));
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Copies_beyond_the_staging_memory_must_go_in_pieces(string gpu)
    {
        using var device = new GpuDevice(GpuUnderTest.Get(gpu));
        int rows = (StagingBuffer.Bytes / 4 / 1024) + 300;
        float[] values = Values.Uniform(rows * 1024, seed: 3);
        using DeviceTensor tensor = device.Tensor(rows, 1024, values);
        Assert.Equal(values, tensor.Read(rows));
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Slices_on_one_device_must_not_disturb_each_other(string gpu)
    {
        // Two threads launch the same kernels, with different arguments, on streams of their own.
        const int Columns = 64, Rounds = 200;
        float[][] inputs = [Values.Normal(Columns, seed: 4), Values.Normal(Columns, seed: 5)];
        Parallel.ForEach(inputs, input =>
        {
            using var device = new GpuDevice(GpuUnderTest.Get(gpu));
            using DeviceTensor sum = device.Allocate(1, Columns), addend = device.Tensor(1, Columns, input);
            float[] expected = new float[Columns];
            for (int round = 0; round < Rounds; round++)
            {
                device.Add(sum, addend, 1);
                for (int i = 0; i < Columns; i++)
                    expected[i] += input[i];
            }

            Assert.Equal(expected, sum.Read(1));
        });
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Heads_beyond_the_kernels_must_be_refused(string gpu)
    {
        using var device = new GpuDevice(GpuUnderTest.Get(gpu));
        var error = Assert.Throws<ArgumentException>(() => device.AllocateKv(new KvShape(1, 1, 1, 512, KvFormat.F16)));
        Assert.Contains("512", error.Message, StringComparison.Ordinal);
    }
}
