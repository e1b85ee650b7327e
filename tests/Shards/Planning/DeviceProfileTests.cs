using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>What plans count for GPUs, without one.</summary>
public sealed class DeviceProfileTests
{
    private static readonly PlannerOptions Least = new(512, 512);

    [Fact]
    public void A_tied_head_must_count_once_where_it_is_held_once()
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        DeviceProfile profile = Profile(demo).On(DeviceKind.OpenCl);
        long embedding = demo.Tensor(TensorRole.TokenEmbedding).ByteCount;
        Assert.Equal(profile.EmbeddingBytes, profile.SharedBytes);
        Assert.InRange(profile.EmbeddingBytes, embedding, embedding + 1024);
        Assert.InRange(profile.HeadBytes, embedding, embedding + 2048);
    }

    [Fact]
    public void Larger_batches_must_count_for_more()
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        foreach (DeviceKind kind in new[] { DeviceKind.OpenCl, DeviceKind.Cuda, DeviceKind.CudaTensorCores })
        {
            DeviceProfile small = Profile(demo).On(kind), rows = Profile(demo, rows: 4096).On(kind), sequences = Profile(demo, sequences: 1000, rows: 4096).On(kind);

            // Gate and up alone take two times 352 float32 a row; a row of logits takes 2,048.
            Assert.True(rows.LayerBufferBytes - small.LayerBufferBytes > 4000L * 2 * 352 * sizeof(float));
            Assert.True(sequences.HeadBufferBytes - rows.HeadBufferBytes > 900L * 2048 * sizeof(float));
            Assert.True(sequences.BufferBytes > rows.BufferBytes);
        }
    }

    [Fact]
    public void Memory_that_does_for_a_processor_must_be_refused_on_a_gpu_with_what_is_missing()
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        ModelProfile profile = Profile(demo);
        ModelUnits units = Units(demo);
        long host = units.MemoryBytes(0, units.Count, 32), gpu = units.MemoryBytes(0, units.Count, 32, DeviceKind.OpenCl);
        Assert.Single(Plan(profile, host, DeviceKind.Host).Replicas);
        Assert.Single(Plan(profile, gpu, DeviceKind.OpenCl).Replicas);

        ClusterPlan refused = Plan(profile, gpu - 1, DeviceKind.OpenCl);

        Assert.Empty(refused.Replicas);
        Assert.Contains("to compute in", refused.Reasons[0], StringComparison.Ordinal);
        Assert.Contains("1 bytes are missing", refused.Reasons[0], StringComparison.Ordinal);
        PlannedStage stage = Plan(profile, gpu, DeviceKind.OpenCl).Replicas[0].Stages[0];
        Assert.Equal(gpu, stage.WeightBytes + stage.KvBytes + stage.BufferBytes);
    }

    [Fact]
    public void A_processor_beside_a_gpu_must_get_what_the_gpu_cannot_hold()
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        ModelProfile profile = Profile(demo);
        ModelUnits units = Units(demo);
        long half = units.MemoryBytes(0, 5, 32, DeviceKind.OpenCl);
        ClusterPlan plan = SlicePlanner.Plan(
            profile, [new PlannerDevice("a", 0, "gpu", half, 1e12, DeviceKind.OpenCl), new PlannerDevice("a", 1, "cpu", 1L << 34, 1e10)], Least with { StagesPerReplica = 2 });
        PlannedStage onGpu = plan.Replicas.Single().Stages.Single(stage => stage.DeviceIndex == 0);
        Assert.InRange(onGpu.Slice.LayerCount, 1, 5);
        Assert.True(onGpu.WeightBytes + onGpu.KvBytes + onGpu.BufferBytes <= half);
    }

    [Fact]
    public void A_processor_must_be_taken_where_a_gpu_with_more_memory_has_less_left_for_weights()
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo);
        ModelUnits units = Units(demo);
        long host = units.MemoryBytes(0, units.Count, 32), gpu = units.MemoryBytes(0, units.Count, 32, DeviceKind.OpenCl);
        ClusterPlan plan = SlicePlanner.Plan(
            Profile(demo), [new PlannerDevice("a", 0, "gpu", gpu - (1 << 20), 1e12, DeviceKind.OpenCl), new PlannerDevice("a", 1, "cpu", host, 1e10)],
            Least with { StagesPerReplica = 1 });
        Assert.Equal(1, plan.Replicas.Single().Stages.Single().DeviceIndex);
    }

    private static ClusterPlan Plan(ModelProfile profile, long memory, DeviceKind kind) =>
        SlicePlanner.Plan(profile, [new PlannerDevice("a", 0, "device", memory, 1e10, kind)], Least);

    private static ModelUnits Units(ModelFile file) => new(Profile(file));

    private static ModelProfile Profile(ModelFile file, int rows = 64, int sequences = 8) =>
        ModelProfile.From(file, KvFormat.F16, largest: SliceOptions.ForServing(rows, sequences, 512, kvBlocks: 0, KvFormat.F16));
}
