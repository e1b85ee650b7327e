using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Execution;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>What a plan reckons with is what slices take of a GPU's memory.</summary>
public sealed class GpuBudgetTests : IDisposable
{
    private const int Blocks = 37;

    // Keys and values of each layer are rounded up to 256 bytes; the plan takes the most.
    private const long RoundingPerLayer = 2 * 256;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Gpus => [.. DevicesUnderTest.Gpus];

    public void Dispose() => _folder.Dispose();

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void A_slice_must_take_what_a_plan_reckons_with(string gpu)
    {
        foreach (ModelFile file in Models())
        {
            using ModelFile model = file;
            foreach (KvFormat kv in new[] { KvFormat.F16, KvFormat.Q8_0, KvFormat.F32 })
            {
                SliceOptions options = SliceOptions.ForServing(24, 5, 128, Blocks, kv);
                foreach (SliceRange range in SliceRange.Split(model.Config.LayerCount, 3).Append(SliceRange.Whole(model.Config.LayerCount)))
                {
                    long reckoned = Reckoned(model, gpu, range, options), taken = Taken(model, gpu, range, options, limit: null);
                    Assert.InRange(reckoned - taken, 0, range.LayerCount * RoundingPerLayer);
                }
            }
        }
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void A_slice_must_load_within_its_budget_and_be_refused_below(string gpu)
    {
        using ModelFile model = ModelFile.Open(SharedModels.Demo);
        SliceRange whole = SliceRange.Whole(model.Config.LayerCount);
        SliceOptions options = SliceOptions.ForServing(24, 5, 128, Blocks, KvFormat.F16);
        long taken = Taken(model, gpu, whole, options, limit: Reckoned(model, gpu, whole, options));

        // Wherever it runs out, nothing stays behind.
        var random = new Random(3);
        for (int i = 0; i < 8; i++)
        {
            long limit = i == 0 ? taken - 1 : random.NextInt64(34L << 20, taken);
            using var context = new GpuContext(Info(gpu), limit);
            using var device = new GpuDevice(context);
            long before = context.UsedBytes;
            var error = Assert.Throws<DeviceMemoryException>(() => ModelSlice.Load(model, device, whole, options));
            Assert.Contains("MiB", error.Message, StringComparison.Ordinal);
            Assert.Equal(before, context.UsedBytes);
        }
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Whatever_is_planned_for_slices_that_share_a_gpu_must_load(string gpu)
    {
        using ModelFile model = ModelFile.Open(SharedModels.Demo);
        SliceOptions largest = SliceOptions.ForServing(32, 8, 512, kvBlocks: 0, KvFormat.F16);
        ModelProfile profile = ModelProfile.From(model, KvFormat.F16, largest: largest);
        DeviceKind kind = Kind(gpu);
        int planned = 0;
        var random = new Random(4);
        for (int i = 0; i < 12; i++)
        {
            int sharers = 1 + (i % 3);
            long memory = random.NextInt64(30L << 20, sharers * (55L << 20));
            PlannerDevice[] devices = [.. Enumerable.Range(0, sharers).Select(index => new PlannerDevice("a", index, gpu, memory / sharers, 1e9, kind))];
            ClusterPlan plan = SlicePlanner.Plan(profile, devices, new PlannerOptions(512, 1 << 20, sharers, 1));
            if (plan.Replicas.Count == 0)
            {
                Assert.Contains("to compute in", plan.Reasons[0], StringComparison.Ordinal);
                continue;
            }

            planned++;
            using var context = new GpuContext(Info(gpu), memory);
            GpuDevice[] opened = [.. devices.Select(_ => new GpuDevice(context))];
            ModelSlice[] slices = [.. plan.Replicas[0].Stages.Select(stage => ModelSlice.Load(
                model, opened[stage.DeviceIndex], stage.Slice, largest with { KvBlocks = plan.Replicas[0].KvBlocks }))];

            // Another block on every stage would not have fitted into some share.
            Assert.True(context.UsedBytes <= memory);
            Array.ForEach(slices, slice => slice.Dispose());
            Array.ForEach(opened, device => device.Dispose());
        }

        Assert.InRange(planned, 3, 11);
    }

    private static long Reckoned(ModelFile model, string gpu, SliceRange range, SliceOptions options)
    {
        var units = new ModelUnits(ModelProfile.From(model, options.KvFormat, largest: options));
        int first = range.HasEmbedding ? 0 : range.First + 1, end = range.HasHead ? units.Count : range.Last + 1;
        return units.MemoryBytes(first, end, options.KvBlocks, Kind(gpu));
    }

    private static long Taken(ModelFile model, string gpu, SliceRange range, SliceOptions options, long? limit)
    {
        using var context = new GpuContext(Info(gpu), limit);
        using var device = new GpuDevice(context);
        using ModelSlice slice = ModelSlice.Load(model, device, range, options);
        return context.UsedBytes;
    }

    private static GpuInfo Info(string gpu) => GpuDiscovery.List().Single(info => info.Id == gpu);

    private static DeviceKind Kind(string gpu)
    {
        using var devices = new DevicesUnderTest(gpu);
        return devices.Of(0, 1).Kind;
    }

    // A tied head of bfloat16; heads of their own in quantized formats with and without planes of scales.
    private IEnumerable<ModelFile> Models()
    {
        yield return ModelFile.Open(SharedModels.Demo);
        foreach (WeightFormat format in new[] { WeightFormat.Q8_0, WeightFormat.Q4_K, WeightFormat.Q6_K })
        {
            string path = _folder.At($"{format}.gguf");
            ModelSynthesizer.Write(new SynthesisOptions { Shape = "tiny", Output = path, Type = format, Layers = 3 });
            yield return ModelFile.Open(path);
        }
    }
}
