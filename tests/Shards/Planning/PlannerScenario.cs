using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>Models and devices for the planner's tests, and what must hold of every plan.</summary>
internal static class PlannerScenario
{
    public const long MiB = 1L << 20, GiB = 1L << 30;

    /// <summary>16 layers of 1 GiB, embedding and head of 1 GiB each; a position of KV cache takes 16 KiB a layer.</summary>
    public static ModelProfile Model18GiB { get; } = Uniform(16, GiB, GiB, 16 << 10);

    /// <summary>Llama 3 70B in Q4_K_M: 80 layers of 496 MiB, embedding 564 MiB, head 822 MiB; 4 KiB of KV a position and layer (F16).</summary>
    public static ModelProfile Llama70B { get; } =
        new([.. Enumerable.Repeat(496 * MiB, 80)], 564 * MiB, 822 * MiB, false, 4 << 10, 16_384, 131_072);

    public static ModelProfile Uniform(int layers, long layerBytes, long endBytes, long kvBytes, bool isTied = false) =>
        new([.. Enumerable.Repeat(layerBytes, layers)], endBytes, endBytes, isTied, kvBytes, 8192, 8192);

    public static PlannerDevice Device(string node, double gib, double gibPerSecond = 100, int index = 0) =>
        new(node, index, "gpu", (long)(gib * GiB), gibPerSecond * GiB);

    public static ClusterPlan Plan(ModelProfile model, IReadOnlyList<PlannerDevice> devices, PlannerOptions options, PlannerLinks? links = null)
    {
        var plan = SlicePlanner.Plan(model, devices, options, links);
        AssertSound(plan, model, devices, options, links ?? PlannerLinks.None);
        return plan;
    }

    /// <summary>The slices of a replica, as text.</summary>
    public static string[] SlicesOf(PlannedReplica replica) =>
        [.. replica.Stages.Select(stage => $"{stage.Node}/{stage.DeviceIndex} {stage.Slice}")];

    /// <summary>Bytes that a slice takes, by its definition.</summary>
    public static long WeightBytes(ModelProfile model, SliceRange slice)
    {
        long bytes = slice.HasEmbedding ? model.EmbeddingBytes : 0;
        for (int layer = slice.First; layer < slice.Last; layer++)
            bytes += model.LayerBytes[layer];
        if (slice.HasHead)
            bytes += model.HeadBytes - (slice.HasEmbedding && model.TiedHead ? model.EmbeddingBytes : 0);
        return bytes;
    }

    /// <summary>Seconds that a device takes to read what a step of a slice reads.</summary>
    public static double StepSeconds(ModelProfile model, SliceRange slice, PlannerDevice device)
    {
        long bytes = slice.HasHead ? model.HeadBytes : 0;
        for (int layer = slice.First; layer < slice.Last; layer++)
            bytes += model.LayerBytes[layer];
        return bytes / device.BytesPerSecond;
    }

    private static void AssertSound(
        ClusterPlan plan, ModelProfile model, IReadOnlyList<PlannerDevice> devices, PlannerOptions options, PlannerLinks links)
    {
        Assert.All(plan.Reasons, reason => Assert.False(string.IsNullOrWhiteSpace(reason)));
        Assert.NotEmpty(plan.Reasons);
        Assert.True(plan.Replicas.Count <= (options.MaxReplicas ?? int.MaxValue));
        var stages = plan.Replicas.SelectMany(replica => replica.Stages).ToList();
        Assert.Equal(stages.Count, stages.DistinctBy(stage => (stage.Node, stage.DeviceIndex)).Count());
        foreach (var replica in plan.Replicas)
        {
            Assert.InRange((long)replica.KvBlocks * 16, options.MinKvTokens, options.MaxKvTokens + 15L);
            if (options.StagesPerReplica is { } count)
                Assert.Equal(count, replica.Stages.Count);
            AssertCoversTheModel(replica, model.LayerBytes.Count);
            double slowest = 0;
            foreach (var stage in replica.Stages)
            {
                var device = devices.Single(d => (d.Node, d.Index) == (stage.Node, stage.DeviceIndex));
                Assert.Equal(WeightBytes(model, stage.Slice), stage.WeightBytes);
                Assert.Equal(model.KvBytesPerTokenPerLayer * 16 * stage.Slice.LayerCount * replica.KvBlocks, stage.KvBytes);
                Assert.InRange(stage.WeightBytes + stage.KvBytes, 0, device.MemoryBytes);
                Assert.Equal(StepSeconds(model, stage.Slice, device), stage.StepSeconds, 1e-12);
                slowest = Math.Max(slowest, stage.StepSeconds);
            }

            double round = links.RoundSeconds([.. replica.Stages.Select(stage => stage.Node)]);
            double seconds = Math.Max(slowest, (round + replica.Stages.Sum(stage => stage.StepSeconds)) / replica.Stages.Count);
            Assert.Equal(1 / seconds, replica.PredictedTokensPerSecond, 1e-9 / seconds);
        }
    }

    private static void AssertCoversTheModel(PlannedReplica replica, int layers)
    {
        int next = 0;
        for (int i = 0; i < replica.Stages.Count; i++)
        {
            var slice = replica.Stages[i].Slice;
            Assert.Equal(next, slice.First);
            Assert.True(slice.Last >= slice.First);
            Assert.Equal(i == 0, slice.HasEmbedding);
            Assert.Equal(i == replica.Stages.Count - 1, slice.HasHead);
            Assert.True(slice.LayerCount > 0 || slice.HasEmbedding || slice.HasHead);
            next = slice.Last;
        }

        Assert.Equal(layers, next);
    }
}
