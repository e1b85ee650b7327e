namespace Llama3Cluster.Cluster.Tests;

/// <summary>Faults under load: every stream goes on, token for token, and nothing is left behind. bench/chaos does the same for longer.</summary>
public sealed class ChaosTests
{
    private static readonly ChaosOptions Short = new() { Streams = 8, Tokens = 120, Times = 1, Every = TimeSpan.FromSeconds(1), Seed = 1 };

    [Fact]
    public Task Killed_stage_nodes_must_cost_no_stream_a_token() => MustBeGoodAsync("kill", Short with { Times = 2 });

    [Fact]
    public Task A_node_that_stands_still_must_cost_no_stream_a_token() => MustBeGoodAsync("stop", Short with { Hold = TimeSpan.FromSeconds(5) });

    [Fact]
    public Task A_node_that_is_cut_off_must_cost_no_stream_a_token() => MustBeGoodAsync("partition", Short with { Hold = TimeSpan.FromSeconds(5) });

    [Fact]
    public Task Slow_links_must_cost_no_stream_a_token() => MustBeGoodAsync("slow", Short with { Hold = TimeSpan.FromSeconds(3) });

    [Fact]
    public Task A_node_that_joins_must_get_work_and_cost_no_stream_a_token() => MustBeGoodAsync("join", Short with { Nodes = 2 });

    [Fact]
    public Task A_node_that_leaves_must_cost_no_stream_a_token() => MustBeGoodAsync("leave", Short);

    [Fact]
    public Task A_model_that_needs_a_third_node_must_be_refused_until_it_joins() => MustBeGoodAsync("memory", Short);

    private static async Task MustBeGoodAsync(string fault, ChaosOptions options)
    {
        ChaosReport report = await ChaosRun.RunAsync(fault, options, _ => { });
        Assert.True(report.IsGood, $"{ChaosReport.Table([report])}\n{string.Join('\n', report.Notes.Concat(report.Problems))}");
    }
}
