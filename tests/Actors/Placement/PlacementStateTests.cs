using System.Globalization;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Actors.Tests.Placement;

public sealed class PlacementStateTests : IPlacementOutput
{
    private readonly List<PlacementMessages.AssignPlan> _plans = [];
    private readonly List<string> _said = [];
    private readonly PlacementState _placement;
    private long _epochs;

    public PlacementStateTests()
    {
        var profile = new ModelProfile([1, 1, 1, 1, 1, 1], 1, 1, false, 0, 4, 128);
        _placement = new PlacementState(
            new PlanBuilder(profile, new ReplicaSettings { ContextLength = 128, KvTokens = 256 }), _ => "", this, () => ++_epochs);
    }

    void IPlacementOutput.Probe(string node, long number) => _placement.Answered(new StageMessages.HostAlive(node, number, 0), TimeSpan.Zero);

    void IPlacementOutput.Knock(string node)
    {
    }

    void IPlacementOutput.Assign(PlacementMessages.AssignPlan plan) => _plans.Add(plan);

    void IPlacementOutput.ToHost(string node, IClusterMessage message)
    {
    }

    void IPlacementOutput.Explain(string text) => _said.Add(text);

    [Fact]
    public void A_lost_nodes_slice_must_move_at_once_and_the_others_only_when_nobody_replaces_it()
    {
        Start();
        PlacementMessages.StageAssignment[] before = _plans[^1].Stages;

        SetNodes(10, 1, 2);
        Tick(10, 24);
        PlacementMessages.AssignPlan repaired = Assert.Single(_plans.Skip(1));
        Assert.Equal(before.Select(stage => stage.Slice), repaired.Stages.Select(stage => stage.Slice));
        Assert.Equal(before.Where(stage => stage.Node != Name(3)), repaired.Stages.Where((_, i) => before[i].Node != Name(3)));

        Tick(24, 27);
        Assert.Equal(2, _plans[^1].Stages.Length);
    }

    [Fact]
    public void A_node_that_replaces_a_lost_one_must_get_one_slice_and_the_others_stay()
    {
        Start();
        SetNodes(10, 1, 2);
        Tick(10, 12);
        PlacementMessages.StageAssignment[] repaired = _plans[^1].Stages;

        SetNodes(12, 1, 2, 4);
        Tick(12, 14);

        Assert.Equal(3, _plans.Count);
        PlacementMessages.StageAssignment moved = Assert.Single(_plans[^1].Stages, stage => !repaired.Contains(stage));
        Assert.Equal(Name(4), moved.Node);
    }

    // The slow links lead to the node in the middle: from the end of the pipeline a step crosses them as often, but not between any others.
    [Fact]
    public void A_link_that_turns_out_to_be_slow_must_move_the_slices()
    {
        Start();
        Assert.Equal([1, 2, 3], NodesOf(_plans[^1]));

        Measure(3, 10, (1, 2, 0.001), (1, 3, 0.001), (2, 3, 0.001));
        Tick(3, 5);
        Assert.Single(_plans);

        Measure(5, 10, (1, 2, 0.02), (1, 3, 0.001), (2, 3, 0.02));
        Tick(5, 7);
        Assert.Equal(2, _plans.Count);
        Assert.Equal([1, 3, 2], NodesOf(_plans[^1]));
        Assert.Contains(_said, text => text.Contains("20.0 ms between n1:1 and n2:1", StringComparison.Ordinal));

        Measure(7, 10, (1, 2, 0.024), (1, 3, 0.002), (2, 3, 0.018));
        Tick(7, 9);
        Assert.Equal(2, _plans.Count);
    }

    private static string Name(int node) => $"n{node}:1";

    private static int[] NodesOf(PlacementMessages.AssignPlan plan) =>
        [.. plan.Stages.Select(stage => int.Parse(stage.Node[1..^2], CultureInfo.InvariantCulture))];

    private void Measure(int second, long number, params (int From, int To, double Seconds)[] ways)
    {
        foreach (var from in ways.GroupBy(way => way.From))
        {
            _placement.Answered(
                new StageMessages.HostAlive(Name(from.Key), number, 0, Paths: [.. from.Select(way => new StageMessages.PathReport(Name(way.To), way.Seconds))]),
                TimeSpan.FromSeconds(second));
        }
    }

    private void Start()
    {
        SetNodes(0, 1, 2, 3);
        Tick(0, 2);
        Assert.Equal(3, Assert.Single(_plans).Stages.Length);
    }

    private void SetNodes(int second, params int[] nodes) => _placement.SetNodes(
        nodes.Select(node => new PlacementMessages.NodeOffer(Name(node), node, "127.0.0.1", 1000 + node, 1, 1, "", [new PlacementMessages.DeviceOffer(0, "cpu", 1000, 1e9)])),
        TimeSpan.FromSeconds(second));

    private void Tick(int from, int to)
    {
        for (TimeSpan now = TimeSpan.FromSeconds(from); now < TimeSpan.FromSeconds(to); now += TimeSpan.FromMilliseconds(100))
            _placement.Tick(now);
    }
}
