using Llama3Cluster.Shards.Planning;
using static Llama3Cluster.Shards.Tests.Planning.PlannerScenario;

namespace Llama3Cluster.Shards.Tests.Planning;

public class SlicePlannerTests
{
    private static readonly PlannerOptions Small = new(MinKvTokens: 4096, MaxKvTokens: 8192);

    [Fact]
    public void Two_equal_devices_must_share_a_model_that_neither_holds()
    {
        var plan = Plan(Model18GiB, [Device("a", 16), Device("b", 16)], Small);
        var replica = Assert.Single(plan.Replicas);
        // A step reads 17 GiB, all but the embedding: 8 and 9 is the evenest cut.
        Assert.Equal(["a/0 embedding + layers [0, 8)", "b/0 layers [8, 16) + head"], SlicesOf(replica));
        Assert.Equal(100 / 9.0, replica.PredictedTokensPerSecond, 1e-9);
        Assert.Equal(512, replica.KvBlocks);
    }

    [Fact]
    public void Unequal_memories_must_hold_unequal_slices()
    {
        // 24 + 8 GiB for 18 GiB of weights and at least 1 GiB of KV: the small device fills up at six layers or five and the head.
        var plan = Plan(Model18GiB, [Device("big", 24), Device("small", 8)], Small);
        var replica = Assert.Single(plan.Replicas);
        Assert.Equal(["big/0 embedding + layers [0, 10)", "small/0 layers [10, 16) + head"], SlicesOf(replica));
        Assert.True(replica.KvBlocks * 16 >= 4096);
    }

    [Fact]
    public void Unequal_speeds_must_hold_slices_in_their_ratio()
    {
        var plan = Plan(Model18GiB, [Device("fast", 18, gibPerSecond: 240), Device("slow", 18, gibPerSecond: 100)], Small);
        var replica = Assert.Single(plan.Replicas);
        Assert.Equal(["fast/0 embedding + layers [0, 12)", "slow/0 layers [12, 16) + head"], SlicesOf(replica));
        Assert.Equal(20, replica.PredictedTokensPerSecond, 1e-9);
    }

    [Fact]
    public void A_model_that_needs_three_nodes_must_be_refused_on_two_with_the_numbers()
    {
        var three = Plan(Model18GiB, [Device("a", 8), Device("b", 8), Device("c", 8)], Small);
        Assert.Equal(3, Assert.Single(three.Replicas).Stages.Count);

        var two = Plan(Model18GiB, [Device("a", 8), Device("b", 8)], Small);
        Assert.Empty(two.Replicas);
        Assert.Equal(
            "the model does not fit: it needs 19.0 GiB (18.0 GiB of weights and 1.0 GiB of KV cache for 4,096 positions), but 2 devices "
            + "have 16.0 GiB: a/0 gpu (8.0 GiB), b/0 gpu (8.0 GiB); 3.0 GiB are missing",
            two.Reasons[0]);
        Assert.Equal("add devices with 3.0 GiB or more, or use a file of the model with smaller weights", two.Reasons[1]);
    }

    [Fact]
    public void A_refusal_for_the_kv_cache_alone_must_say_how_much_would_fit()
    {
        var options = new PlannerOptions(MinKvTokens: 65_536, MaxKvTokens: 65_536);
        var plan = Plan(Model18GiB, [Device("a", 20)], options);
        Assert.Empty(plan.Replicas);
        Assert.Contains("16.0 GiB of KV cache for 65,536 positions", plan.Reasons[0], StringComparison.Ordinal);
        Assert.EndsWith("lower the least KV cache to 8,192 positions or fewer", plan.Reasons[1], StringComparison.Ordinal);
        Assert.Single(Plan(Model18GiB, [Device("a", 20)], new PlannerOptions(8192, 65_536)).Replicas);
    }

    [Fact]
    public void Enough_memory_in_pieces_too_small_for_a_layer_must_be_refused_with_the_sizes_of_the_pieces()
    {
        var plan = Plan(Model18GiB, [.. Enumerable.Range(0, 40).Select(i => Device($"n{i:00}", 0.9))], Small);
        Assert.Empty(plan.Replicas);
        Assert.Contains("largest layer 1.0 GiB", plan.Reasons[0], StringComparison.Ordinal);
        Assert.Contains("n39/0 gpu (921.6 MiB)", plan.Reasons[0], StringComparison.Ordinal);
    }

    [Fact]
    public void No_device_must_be_refused_with_what_the_model_needs()
    {
        var plan = Plan(Model18GiB, [], Small);
        Assert.Empty(plan.Replicas);
        Assert.Contains("it needs 19.0 GiB", plan.Reasons[0], StringComparison.Ordinal);
        Assert.Contains("there is no device", plan.Reasons[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Extra_devices_must_become_a_second_replica()
    {
        PlannerDevice[] devices = [Device("a", 16), Device("b", 16), Device("c", 16), Device("d", 16)];
        Assert.Equal(2, Plan(Model18GiB, devices, Small).Replicas.Count);
        var one = Plan(Model18GiB, devices, Small with { MaxReplicas = 1, StagesPerReplica = 2 });
        Assert.Single(one.Replicas);
        Assert.Equal(2, one.Reasons.Count(reason => reason.Contains("is spare: no more replicas were asked for", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_device_that_holds_the_model_must_be_a_replica_of_one_stage()
    {
        var plan = Plan(Model18GiB, [Device("a", 24), Device("b", 24)], Small);
        Assert.Equal(2, plan.Replicas.Count);
        Assert.All(plan.Replicas, replica => Assert.Equal("embedding + layers [0, 16) + head", Assert.Single(replica.Stages).Slice.ToString()));
    }

    [Fact]
    public void Replicas_must_stay_within_nodes_where_they_can()
    {
        var devices = Enumerable.Range(0, 12).Select(i => Device($"n{i / 4}", 8, index: i % 4)).ToList();
        var plan = Plan(Model18GiB, devices, Small);
        Assert.Equal(4, plan.Replicas.Count);
        Assert.Equal(3, plan.Replicas.Count(replica => replica.Stages.DistinctBy(stage => stage.Node).Count() == 1));
    }

    [Fact]
    public void Memories_must_be_combined_so_that_the_most_replicas_fit()
    {
        // 12 + 12 and 8 + 8 would make one replica and a rest too small; 12 + 8 twice makes two.
        PlannerDevice[] devices = [Device("a", 12), Device("b", 12), Device("c", 8), Device("d", 8)];
        Assert.Equal(2, Plan(Model18GiB, devices, Small).Replicas.Count);
    }

    [Fact]
    public void A_single_replica_must_take_the_fastest_devices()
    {
        PlannerDevice[] devices = [Device("a", 22, 100), Device("b", 26, 400), Device("c", 24, 200)];
        var plan = Plan(Model18GiB, devices, Small with { MaxReplicas = 1 });
        Assert.Equal("b", Assert.Single(Assert.Single(plan.Replicas).Stages).Node);
    }

    [Fact]
    public void A_spare_device_must_join_a_replica_that_it_makes_faster()
    {
        var plan = Plan(Model18GiB, [Device("a", 12), Device("b", 12), Device("c", 12)], Small);
        Assert.Equal(3, Assert.Single(plan.Replicas).Stages.Count);
        Assert.Contains(plan.Reasons, reason => reason.Contains("1 more for speed", StringComparison.Ordinal));
    }

    [Fact]
    public void A_slow_spare_device_must_not_slow_single_sequences()
    {
        var plan = Plan(Model18GiB, [Device("a", 24), Device("b", 8, gibPerSecond: 40)], Small);
        Assert.Equal("a", Assert.Single(Assert.Single(plan.Replicas).Stages).Node);
        Assert.Contains(plan.Reasons, reason => reason.StartsWith("b/0 gpu (8.0 GiB) is spare", StringComparison.Ordinal));
    }

    [Fact]
    public void Llama_70b_must_fit_four_devices_of_24_gib_as_two_replicas_or_one_of_four_stages()
    {
        var devices = Enumerable.Range(0, 4).Select(i => Device($"n{i / 2}", 24, gibPerSecond: 800, index: i % 2)).ToList();
        var two = Plan(Llama70B, devices, new PlannerOptions(8192, 131_072));
        Assert.Equal([2, 2], two.Replicas.Select(replica => replica.Stages.Count));
        Assert.All(two.Replicas, replica => Assert.Single(replica.Stages.DistinctBy(stage => stage.Node)));

        // The whole context for one sequence is 40 GiB of KV: only all four together hold it.
        var one = Plan(Llama70B, devices, new PlannerOptions(131_072, 131_072));
        var replica = Assert.Single(one.Replicas);
        Assert.Equal(4, replica.Stages.Count);
        Assert.Equal(8192, replica.KvBlocks);
        Assert.All(replica.Stages, stage => Assert.InRange(stage.Slice.LayerCount, 19, 21));
    }

    [Fact]
    public void A_head_too_large_for_the_small_device_must_put_the_roomy_one_last()
    {
        var model = Uniform(4, GiB, GiB, 16) with { HeadBytes = 6 * GiB };
        var plan = Plan(model, [Device("a", 8), Device("b", 4.5)], Small);
        Assert.Equal(["b/0 embedding + layers [0, 3)", "a/0 layers [3, 4) + head"], SlicesOf(Assert.Single(plan.Replicas)));
    }

    [Fact]
    public void Stages_beside_the_slowest_must_be_even()
    {
        // The first layer is the slowest stage however the other six are cut.
        var model = Uniform(7, GiB, MiB, 16) with { LayerBytes = [8 * GiB, GiB, GiB, GiB, GiB, GiB, GiB] };
        var plan = Plan(model, [.. Enumerable.Range(0, 3).Select(i => Device("a", 64, index: i))], Small with { StagesPerReplica = 3 });
        Assert.Equal(
            ["a/0 embedding + layers [0, 1)", "a/1 layers [1, 4)", "a/2 layers [4, 7) + head"], SlicesOf(Assert.Single(plan.Replicas)));
    }

    [Fact]
    public void Memory_for_kv_must_be_worth_a_tenth_of_the_speed_and_no_more()
    {
        // Equal speeds: the even cut leaves the small device 256 MiB for KV, a layer less on it twice as much.
        var model = Uniform(31, 256 * MiB, 256 * MiB, 16 << 10);
        PlannerDevice[] devices = [Device("big", 64), Device("small", 4.25)];
        var plan = Plan(model, devices, new PlannerOptions(256, 1 << 20, StagesPerReplica: 2));
        var replica = Assert.Single(plan.Replicas);
        double fastest = 100 / (16 * 0.25);
        Assert.InRange(replica.PredictedTokensPerSecond, fastest / 1.1, fastest / 1.05);
        Assert.InRange(replica.KvBlocks, 130, 150);
    }

    [Fact]
    public void The_number_of_stages_asked_for_must_be_kept_exactly()
    {
        var devices = Enumerable.Range(0, 6).Select(i => Device("node", 64, index: i)).ToList();
        var tiny = Uniform(4, MiB, MiB, 1024);
        for (int stages = 1; stages <= 6; stages++)
            Assert.Equal(6 / stages, Plan(tiny, devices, Small with { StagesPerReplica = stages }).Replicas.Count);
    }

    [Fact]
    public void More_stages_than_devices_must_be_refused_with_the_remedy()
    {
        var plan = Plan(Model18GiB, [Device("a", 64), Device("b", 64)], Small with { StagesPerReplica = 3 });
        Assert.Empty(plan.Replicas);
        Assert.Contains("a replica takes 3 devices, one a stage", plan.Reasons[0], StringComparison.Ordinal);
        Assert.Equal("add 1 device, or ask for at most 2 stages a replica", plan.Reasons[1]);
    }

    [Fact]
    public void More_stages_than_the_model_has_parts_must_be_refused_with_the_most_there_can_be()
    {
        var devices = Enumerable.Range(0, 9).Select(i => Device("node", 64, index: i)).ToList();
        var plan = Plan(Uniform(4, MiB, MiB, 1024), devices, Small with { StagesPerReplica = 7 });
        Assert.Empty(plan.Replicas);
        Assert.Contains("make at most 6", plan.Reasons[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_tied_head_must_be_counted_once_on_one_device_and_twice_on_two()
    {
        var tied = Uniform(16, GiB, GiB, 16 << 10, isTied: true);
        var options = new PlannerOptions(4096, 4096);
        Assert.Equal(17 * GiB, Assert.Single(Assert.Single(Plan(tied, [Device("a", 18)], options).Replicas).Stages).WeightBytes);
        Assert.Empty(Plan(tied, [Device("a", 17.9)], options).Replicas);
        Assert.Equal(18 * GiB, Assert.Single(Plan(tied, [Device("a", 10), Device("b", 10)], options).Replicas).Stages.Sum(s => s.WeightBytes));
    }

    [Fact]
    public void Reasons_must_name_every_replica_every_device_and_the_numbers()
    {
        var plan = Plan(Model18GiB, [Device("a", 16), Device("b", 16), Device("c", 4, 10)], Small);
        string all = string.Join('\n', plan.Reasons);
        string[] expected =
        [
            "18.0 GiB of weights", "256.0 KiB of KV cache for each position", "2 of 3 devices form 1 replica", "replica 1 has 2 stages",
            "4,096 positions", "a/0 gpu (16.0 GiB) holds embedding + layers [0, 8)", "11.1 tokens/s", "8,192 positions (512 blocks of 16)",
            "c/0 gpu (4.0 GiB) is spare",
        ];
        Assert.All(expected, text => Assert.Contains(text, all, StringComparison.Ordinal));
    }

    [Fact]
    public void A_context_that_does_not_fit_the_kv_cache_must_be_said()
    {
        var plan = Plan(Model18GiB, [Device("a", 19.5)], new PlannerOptions(4096, 8192));
        Assert.Contains(plan.Reasons, reason => reason.Contains("8,192 positions, does not fit", StringComparison.Ordinal));
        Assert.DoesNotContain(
            Plan(Model18GiB, [Device("a", 24)], new PlannerOptions(4096, 8192)).Reasons,
            reason => reason.Contains("does not fit", StringComparison.Ordinal));
    }

    [Fact]
    public void Numbers_that_mean_nothing_must_be_refused_by_name()
    {
        PlannerDevice[] devices = [Device("a", 24)];
        void Refused(string expected, ModelProfile model, PlannerDevice[] present, PlannerOptions options) =>
            Assert.Contains(
                expected, Assert.Throws<ArgumentException>(() => SlicePlanner.Plan(model, present, options)).Message, StringComparison.Ordinal);

        Refused("MinKvTokens is 0", Model18GiB, devices, new PlannerOptions(0, 16));
        Refused("MaxKvTokens is 15", Model18GiB, devices, new PlannerOptions(16, 15));
        Refused("StagesPerReplica is 0", Model18GiB, devices, Small with { StagesPerReplica = 0 });
        Refused("MaxReplicas is 0", Model18GiB, devices, Small with { MaxReplicas = 0 });
        Refused("a/0 (gpu) is listed twice", Model18GiB, [.. devices, .. devices], Small);
        Refused("a/0 (gpu) reads 0", Model18GiB, [devices[0] with { BytesPerSecond = 0 }], Small);
        Refused("a/0 (gpu) reads NaN", Model18GiB, [devices[0] with { BytesPerSecond = double.NaN }], Small);
        Refused("a/0 (gpu) has -1", Model18GiB, [devices[0] with { MemoryBytes = -1 }], Small);
        Refused("no layers", Model18GiB with { LayerBytes = [] }, devices, Small);
        Refused("takes 0 bytes", Model18GiB with { HeadBytes = 0 }, devices, Small);
    }
}
