using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Security;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>Accepts TCP clients and serves them.</summary>
public sealed class TcpEndpoint : BackgroundService
{
    /// <summary>How long a client may take to close its side.</summary>
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(2);

    private readonly IInferenceService _service;
    private readonly TcpEndpointOptions _options;
    private readonly GatewayDrain _drain;
    private readonly ILogger<TcpEndpoint> _logger;
    private readonly ApiKeySet _keys;
    private readonly Socket _listener;
    private int _connections;

    /// <summary>Creates the endpoint; it listens once it is started.</summary>
    /// <exception cref="ArgumentException">A setting cannot be used; the message names it.</exception>
    public TcpEndpoint(IInferenceService service, TcpEndpointOptions options, GatewayDrain drain, ILogger<TcpEndpoint> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _service = service;
        _drain = drain;
        _options = options;
        _logger = logger;
        _keys = new ApiKeySet(options.ApiKeys);
        _listener = new Socket(options.EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
    }

    /// <summary>Where it listens, with the port that it got.</summary>
    public IPEndPoint LocalEndPoint => (IPEndPoint)_listener.LocalEndPoint!;

    /// <summary>Clients that are connected.</summary>
    internal int Connections => _connections;

    /// <inheritdoc/>
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        // Here rather than in the background, so that an address in use ends the start.
        try
        {
            _listener.Bind(_options.EndPoint);
            _listener.Listen();
        }
        catch (SocketException error)
        {
            throw new IOException($"TCP clients cannot be served at {_options.EndPoint}: {error.Message}. Choose another address with --tcp.", error);
        }

        _logger.LogInformation("TCP clients are served at {EndPoint}.", LocalEndPoint);
        return base.StartAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _listener.Dispose();
        base.Dispose();
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var serving = new HashSet<Task>();
        using var accepting = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, _drain.Draining);
        try
        {
            while (true)
            {
                Socket client = await AcceptAsync(accepting.Token);
                Task connection = ServeAsync(client, stoppingToken);
                lock (serving)
                    serving.Add(connection);
                _ = connection.ContinueWith(Forget, TaskScheduler.Default);
            }
        }
        catch (OperationCanceledException) when (accepting.IsCancellationRequested)
        {
            _listener.Close();
        }

        Task[] last;
        lock (serving)
            last = [.. serving];
        await Task.WhenAll(last);

        void Forget(Task done)
        {
            lock (serving)
                serving.Remove(done);
        }
    }

    private async Task<Socket> AcceptAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                return await _listener.AcceptAsync(stoppingToken);
            }
            catch (SocketException error)
            {
                // A client that left before it was accepted, or no file handles for a moment; the next accept may do.
                _logger.LogWarning("A TCP client could not be accepted: {Reason}", error.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(100), stoppingToken);
            }
        }
    }

    /// <summary>Serves one client. Does not throw: no client may end the endpoint.</summary>
    private async Task ServeAsync(Socket client, CancellationToken stoppingToken)
    {
        bool admitted = Interlocked.Increment(ref _connections) <= _options.MaxConnections;
        try
        {
            using (client)
            {
                client.NoDelay = true;
                client.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
                await using var plain = new NetworkStream(client);
                if (!admitted)
                    _logger.LogWarning(
                        "A TCP client was turned away: {Connections} are connected already.", _options.MaxConnections);
                else
                    await ServeAsync(plain, stoppingToken);
                await CloseAsync(client);
            }
        }
        catch (Exception error) when (error is IOException or SocketException or AuthenticationException
            or OperationCanceledException)
        {
            _logger.LogInformation("A TCP client was lost: {Reason}", error.Message);
        }
        catch (Exception error)
        {
            _logger.LogError(error, "Serving a TCP client failed.");
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    /// <summary>
    /// Closes after the client has: a socket that is closed with unread bytes is reset, and the client may lose the last message.
    /// </summary>
    private static async Task CloseAsync(Socket client)
    {
        client.Shutdown(SocketShutdown.Send);
        using var timeout = new CancellationTokenSource(CloseTimeout);
        byte[] rest = new byte[4096];
        while (await client.ReceiveAsync(rest, timeout.Token) > 0)
            continue;
    }

    private async Task ServeAsync(NetworkStream plain, CancellationToken stoppingToken)
    {
        if (_options.ServerCertificate is null)
        {
            using var connection = new TcpConnection(plain, _service, _keys, _options, _drain, _logger);
            await connection.RunAsync(stoppingToken);
            return;
        }

        await using var tls = new SslStream(plain);
        using (var timeout = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken))
        {
            timeout.CancelAfter(_options.HelloTimeout);
            await tls.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions { ServerCertificate = _options.ServerCertificate }, timeout.Token);
        }

        using var encrypted = new TcpConnection(tls, _service, _keys, _options, _drain, _logger);
        await encrypted.RunAsync(stoppingToken);
    }
}
