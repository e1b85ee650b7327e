namespace Llama3Cluster.Cluster.Tests;

/// <summary>What clients see when a node is lost.</summary>
public sealed class FailureTests
{
    [Fact]
    public async Task A_killed_stage_node_must_not_end_the_service()
    {
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 2);
        string before = await cluster.CompleteAsync("Once upon a time", 40);

        cluster.Nodes[1].Kill();

        // The request waits until the remaining node holds the whole model.
        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
    }

    [Fact]
    public async Task A_node_that_joins_must_get_a_slice_without_a_restart()
    {
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 1);
        string before = await cluster.CompleteAsync("Once upon a time", 40);

        NodeProcess second = cluster.AddNode();
        await second.LineAsync("holds .*layers");

        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
    }

    [Fact]
    public async Task Requests_without_any_stage_node_must_be_refused_with_the_reason()
    {
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0);
        await cluster.Gateway.LineAsync("no stage node has joined");

        using HttpResponseMessage ready = await cluster.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        using HttpResponseMessage answer = await cluster.Http.PostAsync(
            new Uri("/v1/completions", UriKind.Relative), new StringContent("""{"model":"demo","prompt":"Hi"}""", System.Text.Encoding.UTF8, "application/json"));

        Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("no stage node has joined", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }
}
