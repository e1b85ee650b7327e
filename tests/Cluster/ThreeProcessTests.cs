using System.Text.Json;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>A gateway and two stage nodes, three processes in all.</summary>
public sealed class ThreeProcessTests : IAsyncLifetime
{
    private const int Streams = 32;
    private const int Tokens = 128;

    private LoopbackCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await LoopbackCluster.StartAsync(nodes: 2);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task Two_nodes_must_hold_one_slice_each()
    {
        JsonElement replica = Assert.Single((await _cluster.SnapshotAsync()).GetProperty("replicas").EnumerateArray());
        JsonElement[] stages = [.. replica.GetProperty("stages").EnumerateArray()];

        Assert.Equal(2, stages.Select(stage => stage.GetProperty("node").GetString()).Distinct().Count());
        Assert.True(stages[0].GetProperty("has_embedding").GetBoolean());
        Assert.True(stages[1].GetProperty("has_head").GetBoolean());
        Assert.Equal(stages[0].GetProperty("last_layer").GetInt32(), stages[1].GetProperty("first_layer").GetInt32());
    }

    [Fact]
    public async Task Greedy_answers_must_equal_those_of_a_single_process()
    {
        const string prompt = "Once upon a time, there was a small dog who";
        await using NodeProcess alone = NodeProcess.Start(
            "generate", "--prompt", prompt, "--temperature", "0", "--max-tokens", "60", "--top-p", "1");
        Assert.Equal(0, await alone.ExitAsync());

        string answer = await _cluster.CompleteAsync(prompt, 60);

        Assert.Contains(prompt + answer, alone.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Thirty_two_streams_must_each_get_the_answer_they_get_alone()
    {
        string[] prompts = [.. Enumerable.Range(0, Streams).Select(i => $"Once upon a time, {i} little rabbits and {i * 7 % 11} dogs")];
        string[] alone = new string[Streams];
        for (int i = 0; i < Streams; i++)
            alone[i] = await _cluster.CompleteAsync(prompts[i], Tokens);

        string[] together = await Task.WhenAll(prompts.Select(prompt => _cluster.CompleteAsync(prompt, Tokens, stream: true)));

        Assert.Equal(alone, together);
        JsonElement replica = (await _cluster.SnapshotAsync()).GetProperty("replicas")[0];
        Assert.Equal("active", replica.GetProperty("state").GetString());
    }

    [Fact]
    public async Task A_node_with_another_model_must_be_told_why_it_takes_no_part()
    {
        string folder = Path.Combine(Path.GetTempPath(), $"llama3cluster-{Guid.NewGuid():N}");
        await using NodeProcess synth = NodeProcess.Start("synth", "--shape", "tiny", "--out", folder + ".gguf");
        Assert.Equal(0, await synth.ExitAsync());
        try
        {
            NodeProcess stranger = _cluster.AddNode("--model", folder + ".gguf");

            string line = await stranger.LineAsync("takes no part");

            Assert.Contains("fingerprint", line, StringComparison.Ordinal);
            await _cluster.CompleteAsync("Once upon a time", 5);
        }
        finally
        {
            File.Delete(folder + ".gguf");
        }
    }

    [Fact]
    public async Task Interrupting_every_process_must_end_it_cleanly()
    {
        foreach (NodeProcess node in _cluster.Nodes)
            Assert.Equal(0, await node.InterruptAsync());
        Assert.Equal(0, await _cluster.Gateway.InterruptAsync());
    }
}
