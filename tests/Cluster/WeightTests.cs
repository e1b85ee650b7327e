using System.Text.Json;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>Nodes that are started without the model's files get the weights of their slices from others.</summary>
public sealed class WeightTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("llama3cluster-").FullName;
    private string _model = "";

    public async Task InitializeAsync()
    {
        // The demo model in another format: one that no node has.
        _model = Path.Combine(_folder, "model.gguf");
        await using NodeProcess quantize = NodeProcess.Start("quantize", "--type", "f32", "--out", _model);
        Assert.Equal(0, await quantize.ExitAsync());
    }

    public Task DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_node_with_an_empty_disk_must_fetch_its_slice_only_and_serve()
    {
        string certificates = await CertificatesAsync(), cache = Path.Combine(_folder, "cache");
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0, "--model", _model, "--tls", certificates);
        cluster.AddNode("--model", _model, "--tls", certificates);
        await cluster.Gateway.LineAsync("has passed through its 1 stage ");
        string before = await cluster.CompleteAsync("Once upon a time", 40);

        NodeProcess empty = cluster.AddNode("--cache", cache, "--tls", certificates);
        await empty.LineAsync("weights of .* verified");
        await cluster.Gateway.LineAsync("has passed through its 2 stages");

        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
        JsonElement weights = await WeightsAsync(cluster, new FileInfo(_model).Length / 10);
        long model = weights.GetProperty("model_bytes").GetInt64(), received = weights.GetProperty("received_bytes").GetInt64();
        Assert.Equal(new FileInfo(_model).Length, model);
        Assert.InRange(received, model / 10, model * 3 / 4);
        Assert.Equal(received, weights.GetProperty("held_bytes").GetInt64());

        // The whole cluster's work falls to it: it fetches the rest.
        cluster.Nodes[0].Kill();
        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
        await WeightsAsync(cluster, received);
    }

    [Fact]
    public async Task A_node_that_was_killed_must_fetch_nothing_twice()
    {
        string cache = Path.Combine(_folder, "cache");
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0, "--model", _model);
        NodeProcess first = cluster.AddNode("--cache", cache);
        await cluster.Gateway.LineAsync("has passed through its 1 stage ");
        string before = await cluster.CompleteAsync("Once upon a time", 40);

        first.Kill();
        await first.ExitAsync();
        NodeProcess second = cluster.AddNode("--cache", cache);

        Assert.Contains(" 0 bytes of them fetched just now", await second.LineAsync("weights of .* verified"), StringComparison.Ordinal);
        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
    }

    [Fact]
    public async Task A_damaged_copy_of_the_model_on_another_node_must_not_be_taken()
    {
        string damaged = Path.Combine(_folder, "damaged.gguf");
        File.Copy(_model, damaged);
        using (ModelFile model = ModelFile.Open(_model))
        using (var file = new FileStream(damaged, FileMode.Open, FileAccess.ReadWrite))
        {
            // A quarter into a tensor is none of the fingerprint's samples, or it would be another model.
            foreach (FileExtent tensor in model.Layout.Of(SliceRange.Whole(model.Config.LayerCount)).Where(tensor => tensor.Count > 8192))
            {
                file.Position = tensor.Offset + (tensor.Count / 4);
                file.WriteByte(0x5a);
            }
        }

        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0, "--model", _model);
        await using NodeProcess alone = NodeProcess.Start("generate", "--model", _model, "--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "40", "--top-p", "1");
        Assert.Equal(0, await alone.ExitAsync());
        NodeProcess bad = cluster.AddNode("--model", damaged);
        await cluster.Gateway.LineAsync("has passed through its 1 stage ");

        NodeProcess empty = cluster.AddNode("--cache", Path.Combine(_folder, "cache"));
        await empty.LineAsync("weights of .* verified");
        bad.Kill();
        string answer = await cluster.CompleteAsync("Once upon a time", 40);

        Assert.Contains("Once upon a time" + answer, alone.Output, StringComparison.Ordinal);
        Assert.Contains("have not the hash that the cluster's gateway states", empty.Output, StringComparison.Ordinal);
    }

    // Once it has received more than so many bytes: the nodes tell each other now and then.
    private static async Task<JsonElement> WeightsAsync(LoopbackCluster cluster, long beyond)
    {
        while (true)
        {
            foreach (JsonElement node in (await cluster.SnapshotAsync()).GetProperty("nodes").EnumerateArray())
            {
                if (node.TryGetProperty("weights", out JsonElement weights) && weights.ValueKind == JsonValueKind.Object
                    && weights.GetProperty("received_bytes").GetInt64() > beyond)
                {
                    return weights;
                }
            }

            await Task.Yield();
        }
    }

    private async Task<string> CertificatesAsync()
    {
        string folder = Path.Combine(_folder, "certs");
        await using NodeProcess certs = NodeProcess.Start("certs", "--out", folder);
        Assert.Equal(0, await certs.ExitAsync());
        return Path.Combine(folder, "localhost");
    }
}
