using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

namespace Llama3Cluster.Chaos;

/// <summary>Gateways without stages of their own, and stage nodes, each a process, on loopback. Nodes can be lost and started again.</summary>
internal sealed class ChaosCluster : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ChaosOptions _options;
    private readonly List<GatewayProcess> _gateways = [];
    private readonly List<NodeProcess> _nodes = [];
    private readonly List<NodeProcess> _ended = [];
    private readonly Dictionary<NodeProcess, string> _addresses = [];

    private ChaosCluster(ChaosOptions options) => _options = options;

    /// <summary>A gateway and where it listens.</summary>
    public sealed record GatewayProcess(NodeProcess Process, HttpClient Http, string ClusterAddress);

    public IReadOnlyList<GatewayProcess> Gateways => _gateways;

    public IReadOnlyList<NodeProcess> Nodes => _nodes;

    /// <summary>Between the processes, when the options ask for it.</summary>
    public ProxyNetwork? Network { get; private set; }

    /// <summary>All processes that run.</summary>
    public IEnumerable<NodeProcess> Processes => _gateways.Select(gateway => gateway.Process).Concat(_nodes);

    public static async Task<ChaosCluster> StartAsync(ChaosOptions options)
    {
        var cluster = new ChaosCluster(options) { Network = options.Proxied ? new ProxyNetwork() : null };
        try
        {
            for (int i = 0; i < options.Gateways; i++)
                await cluster.AddGatewayAsync();
            for (int i = 0; i < options.Nodes; i++)
                cluster.AddNode();
            if (options.Nodes > 0)
                await cluster.UntilAllWorkAsync(Patience);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a gateway that joins the first; returns once it answers.</summary>
    public async Task<GatewayProcess> AddGatewayAsync()
    {
        int http = NodeProcess.FreePort(), tcp = NodeProcess.FreePort();
        (string[] addresses, string advertised) = Addresses();
        string[] seeds = [.. Seeds().SelectMany(seed => new[] { "--seed", seed })];
        NodeProcess process = NodeProcess.Start(
            ["serve", "--stages", "0", "--http", Local(http), "--tcp", Local(tcp), .. addresses, .. seeds, .. _options.GatewayArguments]);
        Network?.Belongs(process.Id, advertised);
        var gateway = new GatewayProcess(
            process, new HttpClient { BaseAddress = new Uri($"http://{Local(http)}"), Timeout = TimeSpan.FromMinutes(5) }, advertised);
        _gateways.Add(gateway);
        await UntilAsync(async () => (await gateway.Http.GetAsync(new Uri("/health/live", UriKind.Relative))).IsSuccessStatusCode, Patience, "a gateway that answers");
        return gateway;
    }

    /// <summary>Starts a stage node.</summary>
    public NodeProcess AddNode(params string[] arguments)
    {
        (string[] addresses, string advertised) = Addresses();
        string[] seeds = [.. Seeds().SelectMany(seed => new[] { "--seed", seed })];
        NodeProcess node = NodeProcess.Start(["node", "--threads", "1", .. addresses, .. seeds, .. _options.NodeArguments, .. arguments]);
        Network?.Belongs(node.Id, advertised);
        _nodes.Add(node);
        _addresses[node] = advertised;
        return node;
    }

    /// <summary>Ends a node at once, as kill -9 does.</summary>
    public void Kill(NodeProcess node)
    {
        node.Kill();
        Forget(node);
    }

    /// <summary>Ends a gateway at once.</summary>
    public void Kill(GatewayProcess gateway)
    {
        gateway.Process.Kill();
        _gateways.Remove(gateway);
        _ended.Add(gateway.Process);
    }

    /// <summary>Takes a node that has ended, or will, out of the list.</summary>
    public void Forget(NodeProcess node)
    {
        _nodes.Remove(node);
        _ended.Add(node);
    }

    /// <summary>The cluster as a gateway sees it; null when none answers.</summary>
    public async Task<JsonElement?> SnapshotAsync()
    {
        foreach (GatewayProcess gateway in _gateways.ToArray())
        {
            try
            {
                using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(5));
                return await gateway.Http.GetFromJsonAsync<JsonElement>("/cluster", soon.Token);
            }
            catch (Exception error) when (error is HttpRequestException or OperationCanceledException or JsonException)
            {
                // the next one
            }
        }

        return null;
    }

    /// <summary>Waits until a token has passed through a pipeline whose stages are on all nodes that run, and on no other.</summary>
    public Task UntilAllWorkAsync(TimeSpan patience) => UntilAsync(AllWorkAsync, patience, string.Create(CultureInfo.InvariantCulture, $"pipeline over all {_nodes.Count} nodes"));

    /// <summary>Whether that is so.</summary>
    public async Task<bool> AllWorkAsync() => await SnapshotAsync() is { } snapshot && snapshot.GetProperty("ready").GetBoolean()
        && StageNodes(snapshot).ToHashSet().SetEquals(_nodes.Select(node => _addresses[node]));

    /// <summary>Waits until a condition holds.</summary>
    /// <exception cref="TimeoutException">It does not; the message has the gateways' output.</exception>
    public async Task UntilAsync(Func<Task<bool>> condition, TimeSpan patience, string what)
    {
        for (DateTime deadline = DateTime.UtcNow + patience; ; await Task.Delay(50))
        {
            try
            {
                if (await condition())
                    return;
            }
            catch (Exception error) when (error is HttpRequestException or OperationCanceledException)
            {
                // not yet
            }

            if (DateTime.UtcNow > deadline)
                throw new TimeoutException($"no {what} within {patience.TotalSeconds:0} s:\n{string.Join("\n", _gateways.Select(gateway => gateway.Process.Output))}");
        }
    }

    /// <summary>Addresses of the nodes of all stages of a snapshot.</summary>
    public static IEnumerable<string> StageNodes(JsonElement snapshot) =>
        from replica in snapshot.GetProperty("replicas").EnumerateArray()
        from stage in replica.GetProperty("stages").EnumerateArray()
        select stage.GetProperty("node").GetString()!;

    /// <summary>Everything that any process has printed, for a look at what went wrong.</summary>
    public IEnumerable<(int Id, string Output)> Outputs() => Processes.Concat(_ended).Select(process => (process.Id, process.Output));

    public async ValueTask DisposeAsync()
    {
        foreach (NodeProcess process in Processes.Concat(_ended).ToList())
            await process.DisposeAsync();
        foreach (GatewayProcess gateway in _gateways)
            gateway.Http.Dispose();
        Network?.Dispose();
    }

    private static string Local(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");

    private IEnumerable<string> Seeds() => _gateways.Take(2).Select(gateway => gateway.ClusterAddress);

    // Behind a proxy, a process tells the others the proxy's address and listens at its own.
    private (string[] Arguments, string Advertised) Addresses()
    {
        string cluster = Local(NodeProcess.FreePort());
        if (Network is null)
            return (["--cluster", cluster], cluster);
        string data = Local(NodeProcess.FreePort());
        string advertised = Network.Front(cluster), advertisedData = Network.Front(data);
        Network.Same(advertised, advertisedData);
        return (["--cluster", cluster, "--data", data, "--advertise-cluster", advertised, "--advertise-data", advertisedData], advertised);
    }
}
