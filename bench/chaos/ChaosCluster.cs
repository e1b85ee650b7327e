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
    private string? _certificates;

    private ChaosCluster(ChaosOptions options) => _options = options;

    /// <summary>A gateway, where it listens, and what starts it.</summary>
    public sealed record GatewayProcess(NodeProcess Process, HttpClient Http, string ClusterAddress, string[] Arguments);

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
            if (options.Tls)
                await cluster.MakeCertificatesAsync();
            await cluster.AddGatewaysAsync(options.Gateways ?? 1);
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

    /// <summary>Starts a stage node.</summary>
    public NodeProcess AddNode(params string[] arguments)
    {
        (string[] addresses, string advertised) = Addresses();
        NodeProcess node = NodeProcess.Start(
            ["node", "--threads", "1", .. addresses, .. Seeds(_gateways.Select(gateway => gateway.ClusterAddress)), .. Tls(), .. _options.NodeArguments, .. arguments]);
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

    /// <summary>Ends a gateway at once, and starts it again where it was.</summary>
    public void Restart(GatewayProcess gateway)
    {
        gateway.Process.Kill();
        _ended.Add(gateway.Process);
        NodeProcess process = NodeProcess.Start(gateway.Arguments);
        Network?.Belongs(process.Id, gateway.ClusterAddress);
        _gateways[_gateways.IndexOf(gateway)] = gateway with { Process = process };
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
            if (await SnapshotAsync(gateway) is { } snapshot)
                return snapshot;
        }

        return null;
    }

    /// <summary>Waits until a token has passed through a pipeline whose stages are on all nodes that run, and on no other.</summary>
    public Task UntilAllWorkAsync(TimeSpan patience) => UntilAsync(AllWorkAsync, patience, string.Create(CultureInfo.InvariantCulture, $"pipeline over all {_nodes.Count} nodes"));

    /// <summary>Whether that is so, in the eyes of every gateway, and each knows the others.</summary>
    public async Task<bool> AllWorkAsync()
    {
        foreach (GatewayProcess gateway in _gateways.ToArray())
        {
            if (await SnapshotAsync(gateway) is not { } snapshot || !snapshot.GetProperty("ready").GetBoolean()
                || !StageNodes(snapshot).ToHashSet().SetEquals(_nodes.Select(node => _addresses[node]))
                || !GatewayNodes(snapshot).ToHashSet().SetEquals(_gateways.Select(each => each.ClusterAddress)))
            {
                return false;
            }
        }

        return true;
    }

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
        if (_certificates is not null)
            Directory.Delete(_certificates, recursive: true);
    }

    private static string Local(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");

    private static async Task<JsonElement?> SnapshotAsync(GatewayProcess gateway)
    {
        try
        {
            using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            return await gateway.Http.GetFromJsonAsync<JsonElement>("/cluster", soon.Token);
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException or JsonException)
        {
            return null; // it does not answer
        }
    }

    private static IEnumerable<string> GatewayNodes(JsonElement snapshot) =>
        from node in snapshot.GetProperty("nodes").EnumerateArray()
        where node.GetProperty("status").GetString() == "up" && node.GetProperty("roles").EnumerateArray().Any(role => role.GetString() == "gateway")
        select node.GetProperty("address").GetString()!;

    private static string[] Seeds(IEnumerable<string> addresses) => [.. addresses.SelectMany(address => new[] { "--seed", address })];

    private string[] Tls() => _certificates is null ? [] : ["--tls", Path.Combine(_certificates, "localhost")];

    private async Task MakeCertificatesAsync()
    {
        _certificates = Directory.CreateTempSubdirectory("llama3cluster-").FullName;
        await using NodeProcess certs = NodeProcess.Start("certs", "--out", _certificates);
        if (await certs.ExitAsync() != 0)
            throw new InvalidOperationException($"no certificates: {certs.Output}");
    }

    // All know all, so that each can be started again; returns once they answer.
    private async Task AddGatewaysAsync(int count)
    {
        (string[] Arguments, string Advertised)[] addresses = [.. Enumerable.Range(0, count).Select(_ => Addresses())];
        string[] seeds = count == 1 ? [] : Seeds(addresses.Select(address => address.Advertised));
        foreach ((string[] own, string advertised) in addresses)
        {
            int http = NodeProcess.FreePort(), tcp = NodeProcess.FreePort();
            string[] arguments = ["serve", "--stages", "0", "--http", Local(http), "--tcp", Local(tcp), .. own, .. seeds, .. Tls(), .. _options.GatewayArguments];
            NodeProcess process = NodeProcess.Start(arguments);
            Network?.Belongs(process.Id, advertised);
            _gateways.Add(new GatewayProcess(
                process, new HttpClient { BaseAddress = new Uri($"http://{Local(http)}"), Timeout = TimeSpan.FromMinutes(5) }, advertised, arguments));
        }

        foreach (GatewayProcess gateway in _gateways)
            await UntilAsync(async () => (await gateway.Http.GetAsync(new Uri("/health/live", UriKind.Relative))).IsSuccessStatusCode, Patience, "a gateway that answers");
    }

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
