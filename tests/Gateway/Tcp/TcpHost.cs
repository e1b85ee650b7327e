using System.Net;
using System.Net.Sockets;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Tcp;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tests.Fakes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Gateway.Tests.Tcp;

/// <summary>The TCP endpoint on a free port of loopback, before a fake cluster.</summary>
internal sealed class TcpHost : IAsyncDisposable
{
    private TcpHost(TcpEndpoint endpoint, FakeInferenceService service, GatewayDrain drain)
    {
        Drain = drain;
        Endpoint = endpoint;
        Service = service;
    }

    /// <summary>A free port of loopback, as the settings name it.</summary>
    public static IPEndPoint AnyPort => new(IPAddress.Loopback, 0);

    public TcpEndpoint Endpoint { get; }

    public FakeInferenceService Service { get; }

    public GatewayDrain Drain { get; }

    public static async Task<TcpHost> StartAsync(
        TcpEndpointOptions? options = null, FakeInferenceService? service = null, DrainOptions? drainOptions = null)
    {
        service ??= new FakeInferenceService();
        var drain = new GatewayDrain(
            drainOptions ?? DrainOptions.Default,
            new ServiceCollection().AddSingleton<IInferenceService>(service).BuildServiceProvider(),
            NullLogger<GatewayDrain>.Instance);
        var endpoint = new TcpEndpoint(
            service, options ?? new TcpEndpointOptions { EndPoint = AnyPort }, drain, NullLogger<TcpEndpoint>.Instance);
        await endpoint.StartAsync(CancellationToken.None);
        return new TcpHost(endpoint, service, drain);
    }

    public Task<Llama3ClusterClient> ConnectAsync(ClientOptions? options = null) =>
        Llama3ClusterClient.ConnectAsync("127.0.0.1", Endpoint.LocalEndPoint.Port, options).WaitAsync(TimeSpan.FromSeconds(20));

    /// <summary>Connects without the client, to send what it would not.</summary>
    public async Task<NetworkStream> ConnectRawAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveBufferSize = 4096 };
        await socket.ConnectAsync(Endpoint.LocalEndPoint);
        return new NetworkStream(socket, ownsSocket: true);
    }

    public async ValueTask DisposeAsync()
    {
        await Endpoint.StopAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(20));
        Endpoint.Dispose();
    }
}
