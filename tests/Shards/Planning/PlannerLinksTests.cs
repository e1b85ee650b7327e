using Llama3Cluster.Shards.Planning;
using static Llama3Cluster.Shards.Tests.Planning.PlannerScenario;

namespace Llama3Cluster.Shards.Tests.Planning;

/// <summary>What slow links make of a plan.</summary>
public sealed class PlannerLinksTests
{
    private static readonly PlannerOptions Small = new(MinKvTokens: 4096, MaxKvTokens: 8192);

    [Fact]
    public void A_link_must_take_the_same_in_both_directions_and_others_nothing()
    {
        var links = new PlannerLinks([new PlannerLink("b", "a", 0.02)]);
        Assert.Equal(0.02, links.Seconds("a", "b"));
        Assert.Equal(0.02, links.Seconds("b", "a"));
        Assert.Equal(0, links.Seconds("a", "c"));
        Assert.Equal(0, links.Seconds("a", "a"));
    }

    [Fact]
    public void A_round_must_count_the_way_back()
    {
        var links = new PlannerLinks([new PlannerLink("a", "b", 0.02)]);
        Assert.Equal(0.04, links.RoundSeconds(["a", "a", "b"]));
        Assert.Equal(0.08, links.RoundSeconds(["a", "b", "a", "b"]));
        Assert.Equal(0, links.RoundSeconds(["a"]));
        Assert.Equal(0, links.RoundSeconds([]));
    }

    [Fact]
    public void Nodes_that_a_chain_of_fast_links_connects_must_be_on_one_site()
    {
        var links = new PlannerLinks(
            [new PlannerLink("a", "c", 0.02), new PlannerLink("a", "d", 0.02), new PlannerLink("b", "d", 0.02), new PlannerLink("c", "d", 0.02)]);
        IReadOnlyDictionary<string, string> sites = links.SitesOf(["d", "c", "b", "a", "a"]);
        Assert.Equal([("a", "a"), ("b", "a"), ("c", "a"), ("d", "d")], sites.Select(site => (site.Key, site.Value)).Order());
    }

    [Theory]
    [InlineData("a", "a", 0.1)]
    [InlineData("a", "b", 0)]
    [InlineData("a", "b", -1)]
    [InlineData("a", "b", double.NaN)]
    [InlineData("a", "b", double.PositiveInfinity)]
    public void A_link_without_meaning_must_be_refused(string node, string other, double seconds) =>
        Assert.Throws<ArgumentException>(() => new PlannerLinks([new PlannerLink(node, other, seconds)]));

    [Fact]
    public void A_link_listed_twice_must_be_refused() =>
        Assert.Throws<ArgumentException>(() => new PlannerLinks([new PlannerLink("a", "b", 1), new PlannerLink("b", "a", 2)]));

    // Two replicas of two devices each; by their names alone n1 and n2 would form the first.
    [Fact]
    public void Replicas_must_stay_within_sites()
    {
        PlannerDevice[] devices = [Device("n1", 16), Device("n2", 16), Device("n3", 16), Device("n4", 16)];
        Assert.Equal(["n1 n2", "n3 n4"], NodesOf(Plan(Model18GiB, devices, Small)));
        Assert.Equal(["n1 n3", "n2 n4"], NodesOf(Plan(Model18GiB, devices, Small, Between(0.02, ["n1", "n3"], ["n2", "n4"]))));
    }

    // One replica needs both sites: it must go there and back once.
    [Theory]
    [InlineData(100, 100)]
    [InlineData(100, 230)]
    public void A_replica_over_two_sites_must_cross_between_them_once(double rate, double otherRate)
    {
        PlannerDevice[] devices = [Device("n1", 6, rate), Device("n2", 6, otherRate), Device("n3", 6, rate), Device("n4", 6, otherRate)];
        PlannerLinks links = Between(0.5, ["n1", "n3"], ["n2", "n4"]);
        ClusterPlan plan = Plan(Model18GiB, devices, Small, links);
        PlannedReplica replica = Assert.Single(plan.Replicas);
        Assert.Equal(1.0, links.RoundSeconds([.. replica.Stages.Select(stage => stage.Node)]));
        Assert.Contains(plan.Reasons, reason => reason.Contains("as many steps as stages are on their way", StringComparison.Ordinal));
        Assert.Contains(plan.Reasons, reason => reason.Contains("spends 1,000.00 ms of every step on slow links", StringComparison.Ordinal));
        Assert.True(replica.PredictedTokensPerSecond < 4, $"{replica.PredictedTokensPerSecond} tokens/s, but four steps share a round of more than a second");
    }

    // The fastest cut has the roomy devices at the ends and goes to and fro between the sites.
    [Fact]
    public void A_faster_cut_must_not_cross_slow_links_more_often_than_it_is_worth()
    {
        PlannerDevice[] devices =
            [Device("n1", 3), Device("n2", 4), Device("n3", 4, 300), Device("n4", 5, 200), Device("n5", 5, 200), Device("n6", 4)];
        Assert.Equal(1.0, RoundSeconds(Between(0.5, ["n1", "n2", "n3"], ["n4", "n5", "n6"])));
        Assert.NotEqual(0.002, RoundSeconds(Between(0.001, ["n1", "n2", "n3"], ["n4", "n5", "n6"])));

        double RoundSeconds(PlannerLinks links) => links.RoundSeconds(
            [.. Assert.Single(Plan(Model18GiB, devices, new PlannerOptions(4096, 8192, 6), links).Replicas).Stages.Select(stage => stage.Node)]);
    }

    // Only n3 holds the embedding and only n2 the head; between them it is better to come to n4 first.
    [Fact]
    public void Of_like_devices_the_nearest_must_be_the_next()
    {
        ModelProfile model = new([.. Enumerable.Repeat(GiB, 4)], 3 * GiB, 5 * GiB, false, 16 << 10, 8192, 8192);
        PlannerDevice[] devices = [Device("n1", 2.5), Device("n2", 5.5), Device("n3", 3.5), Device("n4", 2.5)];
        ClusterPlan plan = Plan(model, devices, Small, Between(0.02, ["n1", "n2"], ["n3", "n4"]));
        Assert.Equal(["n3", "n4", "n1", "n2"], Assert.Single(plan.Replicas).Stages.Select(stage => stage.Node));
    }

    // The devices that come first would do, but for the link between them.
    [Fact]
    public void A_replica_must_form_where_no_slow_link_is()
    {
        PlannerDevice[] devices = [Device("n1", 12), Device("n2", 12), Device("n3", 12)];
        Assert.Equal(["n2 n3"], NodesOf(Plan(Model18GiB, devices, Small, Between(0.02, ["n1"], ["n2", "n3"]))));
    }

    // A node that is near makes the replica faster; from far away it would make every token wait.
    [Fact]
    public void A_spare_device_that_is_far_away_must_stay_spare()
    {
        PlannerDevice[] devices = [Device("n1", 20), Device("n2", 10)];
        var one = new PlannerOptions(4096, 8192, MaxReplicas: 1);
        Assert.Equal(["n1 n2"], NodesOf(Plan(Model18GiB, devices, one)));
        Assert.Equal(["n1"], NodesOf(Plan(Model18GiB, devices, one, Between(0.02, ["n1"], ["n2"]))));
    }

    // 18 GiB at 100 GiB/s take 180 ms: a link of half a millisecond is worth crossing.
    [Fact]
    public void A_link_that_costs_little_must_not_keep_a_device_away() => Assert.Equal(
        ["n1 n2"],
        NodesOf(Plan(Model18GiB, [Device("n1", 20), Device("n2", 10)], new PlannerOptions(4096, 8192, MaxReplicas: 1), Between(0.0005, ["n1"], ["n2"]))));

    private static PlannerLinks Between(double seconds, string[] site, string[] other) =>
        new(site.SelectMany(node => other.Select(far => new PlannerLink(node, far, seconds))));

    private static IEnumerable<string> NodesOf(ClusterPlan plan) =>
        plan.Replicas.Select(replica => string.Join(' ', replica.Stages.Select(stage => stage.Node).Order())).Order();
}
