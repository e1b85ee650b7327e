using Llama3Cluster.Shards.Planning;
using static Llama3Cluster.Shards.Tests.Planning.PlannerScenario;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>What must hold of every plan, over seeded random clusters; <see cref="Plan"/> asserts that each plan is sound.</summary>
public class SlicePlannerPropertyTests
{
    [Fact]
    public void Every_plan_must_be_sound_and_most_clusters_must_have_one()
    {
        var random = new Random(1);
        int planned = 0, stages = 0;
        for (int i = 0; i < 400; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 12);
            var plan = Plan(model, devices, options);
            planned += plan.Replicas.Count > 0 ? 1 : 0;
            stages += plan.Replicas.Sum(replica => replica.Stages.Count);
        }

        Assert.InRange(planned, 150, 390);
        Assert.True(stages > 2 * planned);
    }

    [Fact]
    public void The_order_of_the_devices_must_not_matter()
    {
        var random = new Random(2);
        for (int i = 0; i < 100; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 10);
            var shuffled = devices.ToArray();
            random.Shuffle(shuffled);
            Assert.Equal(Text(Plan(model, devices, options)), Text(Plan(model, shuffled, options)));
        }
    }

    [Fact]
    public void More_memory_or_another_device_must_never_make_it_refuse()
    {
        var random = new Random(3);
        int grown = 0;
        for (int i = 0; i < 400; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 8);
            if (Plan(model, devices, options).Replicas.Count == 0)
                continue;
            int chosen = random.Next(devices.Count);
            var more = devices.ToList();
            more[chosen] = more[chosen] with { MemoryBytes = (long)(more[chosen].MemoryBytes * (1 + random.NextDouble())) };
            Assert.NotEmpty(Plan(model, more, options).Replicas);
            more.Add(new PlannerDevice("zz", 0, "new", random.NextInt64(12 * GiB), GiB));
            Assert.NotEmpty(Plan(model, more, options).Replicas);
            grown++;
        }

        Assert.InRange(grown, 100, 400);
    }

    /// <summary>All orders and all cuts, one after the other, for the devices and KV blocks that the planner chose.</summary>
    [Fact]
    public void The_slowest_stage_must_be_as_fast_as_the_best_cut_of_the_order_and_within_2_percent_of_any_order()
    {
        var random = new Random(4);
        int compared = 0;
        for (int i = 0; i < 150; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 5, mostLayers: 7);
            foreach (var replica in Plan(model, devices, options).Replicas.Where(replica => replica.Stages.Count > 1))
            {
                PlannerDevice[] order = [.. replica.Stages.Select(s => devices.Single(d => (d.Node, d.Index) == (s.Node, s.DeviceIndex)))];
                double slowest = 1 / replica.PredictedTokensPerSecond;
                Assert.Equal(PlannerBruteForce.SlowestOfOrder(model, order, replica.KvBlocks)!.Value, slowest, 1e-9 * slowest);
                double fastest = PlannerBruteForce.SlowestOfAnyOrder(model, order, replica.KvBlocks)!.Value;
                Assert.InRange(slowest, fastest * (1 - 1e-9), fastest * 1.0201);
                compared++;
            }
        }

        Assert.InRange(compared, 60, 600);
    }

    [Fact]
    public void A_cluster_must_be_refused_exactly_when_no_devices_in_any_order_hold_a_replica()
    {
        var random = new Random(5);
        int refused = 0, tight = 0;
        for (int i = 0; i < 150; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 4, mostLayers: 6, isTight: true);
            int blocks = (options.MinKvTokens + 15) / 16;
            bool isPossible = PlannerBruteForce.Subsets(devices)
                .Where(subset => options.StagesPerReplica is null || subset.Length == options.StagesPerReplica)
                .Any(subset => PlannerBruteForce.SlowestOfAnyOrder(model, subset, blocks) is not null);
            Assert.Equal(isPossible, Plan(model, devices, options).Replicas.Count > 0);
            refused += isPossible ? 0 : 1;
            tight += isPossible ? 1 : 0;
        }

        Assert.True(refused > 20 && tight > 20);
    }

    [Fact]
    public void Kv_blocks_must_be_as_many_as_the_fullest_device_holds()
    {
        var random = new Random(6);
        for (int i = 0; i < 400; i++)
        {
            var (model, devices, options) = RandomCase(random, mostDevices: 8);
            foreach (var replica in Plan(model, devices, options).Replicas.Where(r => r.KvBlocks < (options.MaxKvTokens + 15) / 16))
            {
                Assert.Contains(replica.Stages, stage =>
                    stage.WeightBytes + (stage.KvBytes / replica.KvBlocks * (replica.KvBlocks + 1))
                    > devices.Single(d => (d.Node, d.Index) == (stage.Node, stage.DeviceIndex)).MemoryBytes);
            }
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(40)]
    [InlineData(500)]
    public void A_hundred_layers_on_hundreds_of_different_devices_must_be_planned_soundly(int largestGiB)
    {
        var random = new Random(largestGiB);
        var model = Uniform(126, 3 * GiB / 2, 4 * GiB, 4096);
        var devices = new List<PlannerDevice>();
        for (int i = 0; i < 256; i++)
        {
            double rate = (100 + (900 * random.NextDouble())) * GiB;
            devices.Add(new PlannerDevice($"n{i / 4:00}", i % 4, "gpu", random.NextInt64(largestGiB * GiB), rate));
        }

        var plan = Plan(model, devices, new PlannerOptions(8192, 131_072));
        Assert.NotEmpty(plan.Replicas);
    }

    private static (ModelProfile Model, List<PlannerDevice> Devices, PlannerOptions Options) RandomCase(
        Random random, int mostDevices, int mostLayers = 40, bool isTight = false)
    {
        int layers = random.Next(1, mostLayers + 1);
        long layer = random.Next(64, 2048) * MiB;
        bool isMixed = random.Next(2) == 0, isTied = random.Next(2) == 0;
        long embedding = random.Next(32, 4096) * MiB;
        var model = new ModelProfile(
            [.. Enumerable.Range(0, layers).Select(_ => isMixed ? layer + (random.Next(3) * layer / 4) : layer)],
            embedding, isTied ? embedding + 8192 : random.Next(32, 4096) * MiB, isTied, 1024 << random.Next(5), 8192, 8192);

        // Memories about the model's share for a few devices, so that plans of one stage, of many and of none all come up.
        int count = random.Next(1, mostDevices + 1);
        double total = model.LayerBytes.Sum() + model.EmbeddingBytes + model.HeadBytes;
        double typical = isTight ? 1.3 * total / count : 1.2 * total / random.Next(1, 5);
        int kinds = random.Next(1, 4);
        var memories = Enumerable.Range(0, kinds).Select(_ => (long)(typical * (0.3 + (1.4 * random.NextDouble())))).ToArray();
        var rates = Enumerable.Range(0, kinds).Select(_ => (10 + (500 * random.NextDouble())) * GiB).ToArray();
        bool isMeasured = random.Next(2) == 0;
        var devices = new List<PlannerDevice>();
        for (int i = 0; i < count; i++)
        {
            int kind = random.Next(kinds);
            double noise = isMeasured ? 1 + (0.01 * random.NextDouble()) : 1;
            devices.Add(new PlannerDevice($"n{random.Next(3)}", i, "gpu", (long)(memories[kind] * noise), rates[kind] * noise));
        }

        int least = random.Next(1, 4096);
        int? stages = random.Next(4) == 0 ? random.Next(1, 4) : null, replicas = random.Next(4) == 0 ? random.Next(1, 3) : null;
        return (model, devices, new PlannerOptions(least, least + random.Next(65_536), stages, replicas));
    }

    private static string Text(ClusterPlan plan) => string.Join('\n',
        plan.Replicas.Select(replica => $"{replica.KvBlocks} {string.Join(", ", SlicesOf(replica))}").Concat(plan.Reasons));
}
