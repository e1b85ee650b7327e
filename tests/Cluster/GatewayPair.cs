namespace Llama3Cluster.Cluster.Tests;

/// <summary>Two gateways without stages and so many stage nodes, each a process of its own. Either gateway can be lost and started again.</summary>
internal sealed class GatewayPair : IAsyncDisposable
{
    private readonly int[] _http = [NodeProcess.FreePort(), NodeProcess.FreePort()];
    private readonly int[] _tcp = [NodeProcess.FreePort(), NodeProcess.FreePort()];
    private readonly string[] _cluster = [$"127.0.0.1:{NodeProcess.FreePort()}", $"127.0.0.1:{NodeProcess.FreePort()}"];
    private readonly NodeProcess?[] _gateways = new NodeProcess?[2];
    private readonly List<NodeProcess> _nodes = [];
    private readonly int[] _meetings = new int[2]; // how often each, as it runs now, must have met the other one
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
            await pair.ReadyAsync();
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
    public void Start(int gateway)
    {
        bool hasOther = _gateways[1 - gateway] is not null;
        _meetings[gateway] = hasOther ? 1 : 0;
        _meetings[1 - gateway] += hasOther ? 1 : 0;
        _gateways[gateway] = NodeProcess.Start(
            ["serve", "--stages", "0", "--http", $"127.0.0.1:{_http[gateway]}", "--tcp", $"127.0.0.1:{_tcp[gateway]}",
                "--cluster", _cluster[gateway], "--seed", _cluster[0], _cluster[1], .. _options]);
    }

    /// <summary>Waits until both gateways answer and each knows the other one: what is asked for from now on has a copy.</summary>
    public async Task ReadyAsync()
    {
        for (int gateway = 0; gateway < 2; gateway++)
        {
            try
            {
                await this[gateway].LineAsync("^ready ");
                await this[gateway].LineAsync($"gateway {_cluster[1 - gateway]} can keep copies", _meetings[gateway]);
            }
            catch (TimeoutException error)
            {
                throw new TimeoutException($"{error.Message}\nand the other one:\n{this[1 - gateway].Output}", error);
            }
        }
    }

    /// <summary>Asks a gateway to end, as Ctrl-C does, and waits for it.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> InterruptAsync(int gateway)
    {
        int code = await this[gateway].InterruptAsync();
        await KillAsync(gateway);
        return code;
    }

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
