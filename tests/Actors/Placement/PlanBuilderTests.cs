using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Actors.Tests.Placement;

/// <summary>What becomes of the rates that nodes have measured.</summary>
public sealed class PlanBuilderTests
{
    private const int Layers = 48;

    private static readonly Dictionary<string, PlacementMessages.AssignPlan> Nothing = [];

    private readonly PlanBuilder _builder = new(
        new ModelProfile([.. Enumerable.Repeat(1L << 20, Layers)], 1 << 10, 1 << 10, false, 16, 4, 64),
        new ReplicaSettings { ContextLength = 64 });

    [Fact]
    public void Rates_that_are_close_must_count_as_equal() =>
        Assert.Equal([16, 16, 16], LayersOf(Cut(Nothing, Node("a", 20e9), Node("b", 23e9), Node("c", 21e9))).Values.Order());

    [Fact]
    public void A_device_that_is_twice_as_fast_must_get_twice_the_layers()
    {
        Dictionary<string, int> layers = LayersOf(Cut(Nothing, Node("a", 20e9), Node("b", 40e9)));
        Assert.Equal(16, layers["a"]);
        Assert.Equal(32, layers["b"]);
    }

    // Each is close to the next one, but the last is far from the first: closeness must not spread without end.
    [Fact]
    public void Rates_in_a_row_must_not_all_become_the_first()
    {
        Dictionary<string, int> layers = LayersOf(Cut(Nothing, Node("a", 10e9), Node("b", 12e9), Node("c", 14.4e9), Node("d", 17.3e9), Node("e", 20.7e9)));
        Assert.True(layers["e"] > layers["a"], $"the fastest got {layers["e"]} layers, the slowest {layers["a"]}");
    }

    [Fact]
    public void A_node_that_measures_a_little_else_must_leave_the_slices_where_they_are()
    {
        PlanBuilder.Pipeline before = Cut(Nothing, Node("a", 20e9), Node("b", 20e9), Node("c", 20e9));
        var present = new Dictionary<string, PlacementMessages.AssignPlan>
        {
            ["replica-1"] = new("replica-1", 1, before.Stages, before.Limits, "", IsUrgent: false, IsRepeated: false),
        };
        PlanBuilder.Pipeline after = Cut(present, Node("a", 19e9), Node("b", 22e9), Node("c", 20.5e9));
        Assert.Equal(before.Stages.Select(stage => (stage.Node, stage.Slice)), after.Stages.Select(stage => (stage.Node, stage.Slice)));
    }

    // Who has a slice already keeps it, but not at the price of crossing between sites twice.
    [Fact]
    public void Slices_must_not_stay_where_slow_links_would_be_crossed_twice()
    {
        PlacementMessages.NodeOffer[] nodes = [Node("a", 20e9), Node("b", 20e9), Node("c", 20e9)];
        PlanBuilder.Pipeline before = Cut(Nothing, nodes);
        Assert.Equal(["a", "b", "c"], before.Stages.Select(stage => stage.Node));
        var present = new Dictionary<string, PlacementMessages.AssignPlan>
        {
            ["replica-1"] = new("replica-1", 1, before.Stages, before.Limits, "", IsUrgent: false, IsRepeated: false),
        };
        var links = new PlannerLinks([new PlannerLink("a", "b", 0.01), new PlannerLink("b", "c", 0.01)]);

        PlanBuilder.Pipeline after = _builder.Cut(nodes, present, links).Pipelines["replica-1"];

        Assert.Equal(["a", "c", "b"], after.Stages.Select(stage => stage.Node));
    }

    [Fact]
    public void A_lost_slice_must_go_to_a_node_that_is_near()
    {
        PlacementMessages.NodeOffer[] nodes = [Node("a", 20e9), Node("b", 20e9), Node("c", 20e9)];
        PlanBuilder.Pipeline before = Cut(Nothing, Node("a", 20e9), Node("lost", 20e9));
        var plan = new PlacementMessages.AssignPlan("replica-1", 1, before.Stages, before.Limits, "", IsUrgent: false, IsRepeated: false);
        Assert.Equal(["a", "lost"], plan.Stages.Select(stage => stage.Node));

        Assert.Equal("b", _builder.Repair(plan, nodes, [])!.Stages[1].Node);
        var links = new PlannerLinks([new PlannerLink("a", "b", 0.01)]);
        Assert.Equal("c", _builder.Repair(plan, nodes, [], links)!.Stages[1].Node);
    }

    private static PlacementMessages.NodeOffer Node(string name, double rate) =>
        new(name, 1, "127.0.0.1", 1, 1, 1, "", [new PlacementMessages.DeviceOffer(0, "cpu", 1L << 30, rate)]);

    private static Dictionary<string, int> LayersOf(PlanBuilder.Pipeline pipeline) =>
        pipeline.Stages.ToDictionary(stage => stage.Node, stage => stage.Slice.LayerCount);

    private PlanBuilder.Pipeline Cut(Dictionary<string, PlacementMessages.AssignPlan> present, params PlacementMessages.NodeOffer[] nodes) =>
        _builder.Cut(nodes, present).Pipelines["replica-1"];
}
