using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Slices;

public sealed class ModelSliceTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void Another_slice_of_the_device_must_compute_while_one_loads()
    {
        using ModelFile file = ModelFile.Open(SharedModels.Demo);
        using var device = new CpuDevice(2);
        SliceRange range = SliceRange.Whole(file.Config.LayerCount);
        var options = new SliceOptions(4, 1, 1, 64, 4, KvFormat.F16);
        using ModelSlice serving = ModelSlice.Load(file, device, range, options);
        var batch = new RaggedBatch(4, 1, 4);
        batch.Add(0, [1, 2, 3], [0]);
        int steps = 0;

        using ModelSlice loading = ModelSlice.Load(file, device, range, options, new Immediate<LoadProgress>(_ =>
        {
            Assert.True(Task.Run(Step).Wait(Patience), "the device was not free");
            steps++;
        }));

        Assert.Equal(file.Config.LayerCount + 2, steps); // with the embedding and the head

        void Step()
        {
            using DeviceTurns.Turn turn = device.Turns.Take();
            serving.Forward(batch);
        }
    }

    /// <summary>Hears of progress on the thread that makes it.</summary>
    private sealed class Immediate<T>(Action<T> heard) : IProgress<T>
    {
        public void Report(T value) => heard(value);
    }
}
