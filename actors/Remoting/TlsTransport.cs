using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Configuration;
using Akka.Remote;
using Akka.Remote.Transport;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Remoting;

/// <summary>
/// Akka.Remote over mutual TLS. Akka's own TLS transport ends the whole process when a peer that was dialed shows a bad
/// certificate, so whoever takes the port of a node that has died could end all the others; here it costs that connection
/// only. Handshakes are few and have a deadline. Addresses are of the form akka.ssl.tcp://name@host:port.
/// </summary>
internal sealed class TlsTransport : Transport
{
    private const string PortName = "cluster";
    private const int MostPendingHandshakes = 64;
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ShutdownPatience = TimeSpan.FromSeconds(2);

    private readonly TlsIdentity _identity;
    private readonly RefusedPeers _refused;
    private readonly IPEndPoint _endpoint;
    private readonly IPEndPoint? _advertised;
    private readonly TimeSpan _connectTimeout;
    private readonly TimeSpan _handshakeTimeout;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<IAssociationEventListener> _listener = new();
    private readonly ConcurrentDictionary<TlsAssociation, bool> _associations = new();
    private Socket? _socket;
    private int _pending;

    /// <summary>Called by Akka.Remote, with the settings under <c>akka.remote.tls</c>.</summary>
    public TlsTransport(ActorSystem system, Config config)
    {
        System = system;
        Config = config;
        SchemeIdentifier = "ssl.tcp";
        MaximumPayloadBytes = config.GetByteSize("maximum-frame-size", null) ?? throw new ConfigurationException("akka.remote.tls.maximum-frame-size is not set");
        _endpoint = new IPEndPoint(IPAddress.Parse(config.GetString("hostname")), config.GetInt("port"));
        if (config.GetString("public-hostname") is { Length: > 0 } advertised)
            _advertised = new IPEndPoint(IPAddress.Parse(advertised), config.GetInt("public-port"));
        _connectTimeout = config.GetTimeSpan("connect-timeout");
        _handshakeTimeout = config.GetTimeSpan("handshake-timeout");
        TlsSetup setup = system.Settings.Setup.Get<TlsSetup>().GetOrElse(null!)
            ?? throw new ConfigurationException("the TLS transport needs a TlsSetup in the actor system's setup");
        (_identity, _refused) = (setup.Identity, setup.Refused);
    }

    /// <inheritdoc/>
    public override bool IsResponsibleFor(Address remote) => true;

    /// <inheritdoc/>
    public override Task<(Address, TaskCompletionSource<IAssociationEventListener>)> Listen()
    {
        var socket = new Socket(_endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(_endpoint);
            socket.Listen();
        }
        catch (SocketException error)
        {
            socket.Dispose();
            return Task.FromException<(Address, TaskCompletionSource<IAssociationEventListener>)>( // thrown, it would be waited for
                new RemoteTransportException($"Failed to bind to [{_endpoint}]. See the inner exception for details.", error));
        }

        _socket = socket;
        _ = AcceptAsync(socket);
        return Task.FromResult((AddressOf(_advertised ?? (IPEndPoint)socket.LocalEndPoint!), _listener));
    }

    /// <inheritdoc/>
    public override async Task<AssociationHandle> Associate(Address remoteAddress)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        deadline.CancelAfter(_connectTimeout);
        string host = remoteAddress.Host.Trim('[', ']');
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(host, remoteAddress.Port!.Value, deadline.Token).ConfigureAwait(false);
            SslStream stream = Wrap(socket);
            await TlsHandshake.DialAsync(stream, host, _identity, deadline.Token).ConfigureAwait(false);
            return Add(socket, stream, remoteAddress);
        }
        catch (Exception error)
        {
            if (error is PeerRefusedException refusal && socket.RemoteEndPoint is IPEndPoint peer)
                _refused.Report(PortName, peer, refusal.Kind, $"dialed as a node, but {refusal.Message}");
            socket.Dispose();
            throw new InvalidAssociationException(
                error is OperationCanceledException
                    ? string.Create(CultureInfo.InvariantCulture, $"{remoteAddress} did not answer within {_connectTimeout.TotalSeconds:0.#} s")
                    : $"no connection to {remoteAddress}: {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public override async Task<bool> Shutdown()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _socket?.Dispose();
        TlsAssociation[] associations = [.. _associations.Keys];
        foreach (TlsAssociation association in associations)
            association.Finish();
        Task closed = Task.WhenAll(associations.Select(association => association.Closed));
        return await Task.WhenAny(closed, Task.Delay(ShutdownPatience)).ConfigureAwait(false) == closed;
    }

    private async Task AcceptAsync(Socket socket)
    {
        IAssociationEventListener listener = await _listener.Task.ConfigureAwait(false);
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket accepted = await socket.AcceptAsync(_stop.Token).ConfigureAwait(false);
                _ = AdmitAsync(accepted, listener);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException) // out of file handles, perhaps: others will close some
            {
                await Task.Delay(PauseAfterFailure).ConfigureAwait(false);
            }
        }
    }

    private async Task AdmitAsync(Socket socket, IAssociationEventListener listener)
    {
        var peer = new IPEndPoint(IPAddress.None, 0);
        bool admitted = Interlocked.Increment(ref _pending) <= MostPendingHandshakes;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        deadline.CancelAfter(_handshakeTimeout);
        try
        {
            peer = (IPEndPoint)socket.RemoteEndPoint!;
            if (!admitted)
                throw new PeerRefusedException(RefusalKind.Crowded, $"{MostPendingHandshakes} handshakes were under way already");
            socket.NoDelay = true;
            SslStream stream = Wrap(socket);
            await TlsHandshake.AcceptAsync(stream, _identity, deadline.Token).ConfigureAwait(false);
            listener.Notify(new InboundAssociation(Add(socket, stream, AddressOf(peer))));
        }
        catch (Exception error)
        {
            if (error is PeerRefusedException refusal)
                _refused.Report(PortName, peer, refusal.Kind, refusal.Message);
            else if (error is OperationCanceledException && !_stop.IsCancellationRequested)
                _refused.Report(PortName, peer, RefusalKind.Timeout, $"no handshake within {_handshakeTimeout.TotalSeconds:0.#} s");
            socket.Dispose(); // any other error: it went away
        }
        finally
        {
            Interlocked.Decrement(ref _pending);
        }
    }

    private TlsAssociation Add(Socket socket, SslStream stream, Address remote)
    {
        var association = new TlsAssociation(AddressOf((IPEndPoint)socket.LocalEndPoint!), remote, stream, (int)MaximumPayloadBytes);
        _associations.TryAdd(association, true);
        association.Closed.ContinueWith(
            _ => _associations.TryRemove(association, out bool _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        association.Start();
        if (_stop.IsCancellationRequested)
            association.Finish();
        return association;
    }

    private Address AddressOf(IPEndPoint endpoint)
    {
        IPAddress address = endpoint.Address.IsIPv4MappedToIPv6 ? endpoint.Address.MapToIPv4() : endpoint.Address;
        return new Address(SchemeIdentifier, System.Name, address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString(), endpoint.Port);
    }

    private static SslStream Wrap(Socket socket) => new(new NetworkStream(socket, ownsSocket: true));
}
