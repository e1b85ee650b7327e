using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// The threads of a listener: one accepts, and each connection that is accepted has one for its handshake, up to a limit. They
/// tell the listener what came of it.
/// </summary>
internal sealed class LinkAcceptor : IDisposable
{
    /// <summary>What the port is called in the log and the metrics.</summary>
    public const string PortName = "data";

    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly LinkOptions _options;
    private readonly LinkRegistry _registry;
    private readonly IActorRef _listener;
    private readonly Lock _lock = new();
    private readonly HashSet<ILinkTransport> _pending = [];
    private readonly ManualResetEventSlim _stop = new();

    private LinkAcceptor(Socket socket, LinkOptions options, LinkRegistry registry, IActorRef listener)
    {
        _socket = socket;
        _options = options;
        _registry = registry;
        _listener = listener;
        Endpoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Endpoint { get; }

    /// <summary>Binds and begins to accept.</summary>
    /// <exception cref="SocketException">The endpoint cannot be had.</exception>
    public static LinkAcceptor Start(IPEndPoint endpoint, LinkOptions options, LinkRegistry registry, IActorRef listener)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endpoint);
            socket.Listen();
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        var acceptor = new LinkAcceptor(socket, options, registry, listener);
        new Thread(acceptor.Accept) { IsBackground = true, Name = $"accept {acceptor.Endpoint}" }.Start();
        return acceptor;
    }

    /// <summary>Hands an established link over to the caller; false if the acceptor was disposed and the link with it.</summary>
    public bool TryTake(EstablishedLink link)
    {
        lock (_lock)
        {
            return _pending.Remove(link.Transport);
        }
    }

    /// <summary>Stops listening, and closes what nobody has taken.</summary>
    public void Dispose()
    {
        _stop.Set();
        _socket.Dispose();
        lock (_lock)
        {
            foreach (ILinkTransport transport in _pending)
                transport.Dispose();
            _pending.Clear();
        }
    }

    private void Accept()
    {
        while (!_stop.IsSet)
        {
            try
            {
                Admit(_socket.Accept());
            }
            catch (Exception exception) // out of file handles, perhaps: others will close some
            {
                if (!_stop.IsSet)
                    _listener.Tell(new LinkListenerActor.AcceptFailed(exception.Message), ActorRefs.NoSender);
                _stop.Wait(PauseAfterFailure);
            }
        }
    }

    private void Admit(Socket socket)
    {
        SocketTransport transport;
        try
        {
            transport = new SocketTransport(socket, (IPEndPoint)socket.RemoteEndPoint!);
        }
        catch (SocketException) // reset before we looked
        {
            socket.Dispose();
            return;
        }

        bool admitted;
        lock (_lock)
        {
            admitted = !_stop.IsSet && _pending.Count < _options.MaxPendingHandshakes && _pending.Add(transport);
        }

        if (admitted)
        {
            new Thread(() => Shake(transport)) { IsBackground = true, Name = $"handshake {transport.Peer}" }.Start();
            return;
        }

        transport.Dispose();
        Report(HandshakeOutcome.Crowded, transport.Peer, $"{_options.MaxPendingHandshakes} handshakes were under way already", RefusalKind.Crowded);
    }

    private void Shake(SocketTransport socket)
    {
        ILinkTransport transport = socket;
        try
        {
            if (_options.Tls is not null)
                transport = Encrypt(socket, _options.Tls);
            (EstablishedLink link, LinkRegistry.Claim claim) = LinkHandshake.Accept(transport, _options, _registry);
            _listener.Tell(new LinkListenerActor.Accepted(link, claim), ActorRefs.NoSender); // which takes the transport
            return;
        }
        catch (PeerRefusedException refusal)
        {
            Report(HandshakeOutcome.Unauthenticated, transport.Peer, refusal.Message, refusal.Kind);
        }
        catch (LinkRefusedException refusal)
        {
            bool stranger = refusal.Code is RefusalCode.Secret or RefusalCode.Cluster;
            Report(HandshakeOutcome.Refused, transport.Peer, refusal.Message, stranger ? RefusalKind.Secret : null);
        }
        catch (ProtocolException exception)
        {
            Report(HandshakeOutcome.Malformed, transport.Peer, exception.Message, RefusalKind.Malformed);
        }
        catch (Exception exception) when (exception is TimeoutException or SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            Report(HandshakeOutcome.TimedOut, transport.Peer, $"no handshake within {_options.HandshakeDeadline.TotalSeconds:0.#} s", RefusalKind.Timeout);
        }
        catch (Exception exception) // one that left the thread would end the process
        {
            Report(HandshakeOutcome.Disconnected, transport.Peer, exception.Message, null);
        }

        transport.Dispose();
        lock (_lock)
        {
            _pending.Remove(transport);
        }
    }

    // From here on the acceptor closes the encrypted transport instead of the socket.
    private TlsLinkTransport Encrypt(SocketTransport socket, TlsIdentity identity)
    {
        var encrypted = TlsLinkTransport.Accept(socket, identity, _options.HandshakeDeadline);
        lock (_lock)
        {
            if (_pending.Remove(socket))
                _pending.Add(encrypted);
            else
                encrypted.Dispose(); // stopped meanwhile
        }

        return encrypted;
    }

    private void Report(HandshakeOutcome outcome, IPEndPoint peer, string reason, RefusalKind? refused)
    {
        if (refused is { } kind)
            _options.Refused?.Report(PortName, peer, kind, reason);
        _listener.Tell(new LinkListenerActor.HandshakeFailed(outcome, peer, reason), ActorRefs.NoSender);
    }
}
