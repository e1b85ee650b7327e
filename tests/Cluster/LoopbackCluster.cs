using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>A gateway without stages and so many stage nodes, each a process of its own, on loopback.</summary>
internal sealed class LoopbackCluster : IAsyncDisposable
{
    private readonly List<NodeProcess> _nodes = [];

    private LoopbackCluster(NodeProcess gateway, int httpPort, int clusterPort)
    {
        Gateway = gateway;
        Seed = $"127.0.0.1:{clusterPort}";
        Http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{httpPort}"), Timeout = TimeSpan.FromMinutes(2) };
    }

    public NodeProcess Gateway { get; }

    public IReadOnlyList<NodeProcess> Nodes => _nodes;

    public HttpClient Http { get; }

    /// <summary>The gateway's cluster address.</summary>
    public string Seed { get; }

    public static async Task<LoopbackCluster> StartAsync(int nodes, params string[] gatewayOptions)
    {
        int http = NodeProcess.FreePort(), tcp = NodeProcess.FreePort(), control = NodeProcess.FreePort();
        NodeProcess gateway = NodeProcess.Start(
            ["serve", "--stages", "0", "--http", $"127.0.0.1:{http}", "--tcp", $"127.0.0.1:{tcp}", "--cluster", $"127.0.0.1:{control}", .. gatewayOptions]);
        var cluster = new LoopbackCluster(gateway, http, control);
        for (int i = 0; i < nodes; i++)
            cluster.AddNode();
        try
        {
            if (nodes > 0)
                await gateway.LineAsync($"has passed through its {nodes} stage");
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public NodeProcess AddNode(params string[] options)
    {
        NodeProcess node = NodeProcess.Start(["node", "--seed", Seed, "--threads", "1", .. options]);
        _nodes.Add(node);
        return node;
    }

    /// <summary>The cluster as the gateway sees it.</summary>
    public async Task<JsonElement> SnapshotAsync() => await Http.GetFromJsonAsync<JsonElement>("/cluster");

    /// <summary>One answer.</summary>
    public async Task<string> CompleteAsync(string prompt, int maxTokens, bool stream = false)
    {
        using HttpResponseMessage response = await Http.PostAsJsonAsync(
            "/v1/completions", new { model = "demo", prompt, max_tokens = maxTokens, temperature = 0, stream, ignore_eos = true });
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode}: {body}");
        return stream ? Joined(body) : Text(JsonSerializer.Deserialize<JsonElement>(body));
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        foreach (NodeProcess node in _nodes)
            await node.DisposeAsync();
        await Gateway.DisposeAsync();
    }

    private static string Joined(string events)
    {
        string[] data = [.. events.Split('\n').Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).Select(line => line["data: ".Length..])];
        Assert.Equal("[DONE]", data[^1]);
        return string.Concat(data[..^1].Select(json => Text(JsonSerializer.Deserialize<JsonElement>(json))));
    }

    private static string Text(JsonElement answer)
    {
        Assert.False(answer.TryGetProperty("error", out JsonElement error), string.Create(CultureInfo.InvariantCulture, $"{error}"));
        return answer.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }
}
