using Llama3Cluster.Actors.Placement;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Placement;

/// <summary>What becomes of the times that nodes measure of each other.</summary>
public sealed class SlowLinksTests
{
    private readonly SlowLinks _links = new();

    [Fact]
    public void Less_than_five_milliseconds_must_count_as_nothing()
    {
        Assert.Empty(Take("a", "b", 0.0049));
        Assert.Equal(0, _links.Now.Seconds("a", "b"));
        Assert.Single(Take("a", "b", 0.0051));
        Assert.Equal(0.0051, _links.Now.Seconds("b", "a"));
    }

    [Fact]
    public void The_lesser_of_the_two_directions_must_count()
    {
        Take("a", "b", 0.05);
        Take("b", "a", 0.01);
        Assert.Equal(0.01, _links.Now.Seconds("a", "b"));
        Assert.Empty(Take("a", "b", 0.05));
        Assert.Single(Take("b", "a", 0.001));
        Assert.Equal(0, _links.Now.Seconds("a", "b"));
    }

    [Fact]
    public void A_link_must_stay_as_it_counts_until_it_clearly_differs()
    {
        Take("a", "b", 0.02);
        Assert.Empty(Take("a", "b", 0.029));
        Assert.Empty(Take("a", "b", 0.014));
        Assert.Equal(0.02, _links.Now.Seconds("a", "b"));
        Assert.Single(Take("a", "b", 0.031));
        Assert.Equal(0.031, _links.Now.Seconds("a", "b"));
    }

    // 6 ms, and then 4.5: not slow by itself, but no different either.
    [Fact]
    public void A_link_at_the_border_must_not_come_and_go()
    {
        Take("a", "b", 0.006);
        Assert.Empty(Take("a", "b", 0.0045));
        Assert.Single(Take("a", "b", 0.0039));
        Assert.Equal(0, _links.Now.Seconds("a", "b"));
    }

    [Fact]
    public void The_links_of_a_node_that_is_gone_must_be_forgotten()
    {
        Take("a", "b", 0.02);
        Take("b", "c", 0.02);
        _links.Forget("a");
        Assert.Equal(0, _links.Now.Seconds("a", "b"));
        Assert.Equal(0.02, _links.Now.Seconds("b", "c"));
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(-1)]
    public void What_cannot_be_a_time_must_change_nothing(double seconds) => Assert.Empty(Take("a", "b", seconds));

    [Fact]
    public void A_node_must_have_no_link_to_itself() => Assert.Empty(Take("a", "a", 1));

    private IReadOnlyList<string> Take(string node, string other, double seconds) =>
        _links.Take(node, [new StageMessages.PathReport(other, seconds)]);
}
