namespace Llama3Cluster.Cluster.Tests;

/// <summary>Two gateways without stages and so many stage nodes, each a process of its own. Either gateway can be lost and started again.</summary>
internal sealed class GatewayPair : IAsyncDisposable
{
    private readonly int[] _http = [NodeProcess.FreePort(), NodeProcess.FreePort()];
    private readonly int[] _tcp = [NodeProcess.FreePort(), NodeProcess.FreePort()];
    private readonly string[] _cluster = [$"127.0.0.1:{NodeProcess.FreePort()}", $"127.0.0.1:{NodeProcess.FreePort()}"];
    private readonly NodeProcess?[] _gateways = new NodeProcess?[2];
    private readonly List<NodeProcess> _nodes = [];
    private readonly string[] _options;

    private GatewayPair(string[] options) => _options = options;

    /// <summary>Where the gateways answer.</summary>
    public IReadOnlyList<Uri> Addresses => [.. _http.Select(port => new Uri($"http://127.0.0.1:{port}"))];

    public IReadOnlyList<int> TcpPorts => _tcp;

    public static async Task<GatewayPair> StartAsync(int nodes, params string[] options)
    {
        var pair = new GatewayPair(options);
        try
        {
            pair.Start(0);
            await pair[0].LineAsync("starting|no stage node");
            pair.Start(1);
            for (int i = 0; i < nodes; i++)
                pair._nodes.Add(NodeProcess.Start("node", "--seed", pair._cluster[0], pair._cluster[1], "--threads", "1"));
            await pair[0].LineAsync("^ready ");
            await pair[1].LineAsync("^ready ");
            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    public NodeProcess this[int gateway] => _gateways[gateway]!;

    /// <summary>Starts a gateway where it was.</summary>
    public void Start(int gateway) => _gateways[gateway] = NodeProcess.Start(
        ["serve", "--stages", "0", "--http", $"127.0.0.1:{_http[gateway]}", "--tcp", $"127.0.0.1:{_tcp[gateway]}",
            "--cluster", _cluster[gateway], "--seed", _cluster[0], _cluster[1], .. _options]);

    /// <summary>Ends a gateway at once, as kill -9 does.</summary>
    public async Task KillAsync(int gateway)
    {
        NodeProcess victim = this[gateway];
        _gateways[gateway] = null;
        await victim.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (NodeProcess node in _nodes)
            await node.DisposeAsync();
        foreach (NodeProcess? gateway in _gateways)
        {
            if (gateway is not null)
                await gateway.DisposeAsync();
        }
    }
}
