using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Links;

/// <summary>The thread that connects an outbound link, again and again until the listener takes it or says a final no.</summary>
internal sealed class LinkDialer(LinkOptions options, IPEndPoint target, LinkAddress address, IActorRef link) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _wake = new();
    private ILinkTransport? _transport;
    private bool _disposed;
    private int _attempts;
    private volatile string _lastFailure = "no answer";

    /// <summary>Why there is no link yet.</summary>
    public string Progress => $"{Volatile.Read(ref _attempts)} attempts, the last: {_lastFailure}";

    /// <summary>Begins to dial; the link's actor is told the outcome.</summary>
    public void Start() => new Thread(Run) { IsBackground = true, Name = $"dial {address}" }.Start();

    /// <summary>Stops dialing, and closes the transport whoever uses it.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _transport?.Dispose();
        }

        _wake.Set();
    }

    private void Run()
    {
        do
        {
            Interlocked.Increment(ref _attempts);
            try
            {
                if (Dial() is EstablishedLink established)
                    link.Tell(new LinkActor.Established(established), ActorRefs.NoSender);
                return;
            }
            catch (LinkRefusedException refusal) when (!refusal.IsTransient)
            {
                link.Tell(new LinkActor.DialFailed($"{target} refused the link: {refusal.Message}"), ActorRefs.NoSender);
                return;
            }
            catch (PeerRefusedException refusal)
            {
                options.Refused?.Report(LinkAcceptor.PortName, target, refusal.Kind, $"dialed as a node, but {refusal.Message}");
                link.Tell(new LinkActor.DialFailed($"{target} is not the node that it should be: {refusal.Message}"), ActorRefs.NoSender);
                return;
            }
            catch (ProtocolException exception)
            {
                link.Tell(new LinkActor.DialFailed($"{target} does not speak the link protocol: {exception.Message}"), ActorRefs.NoSender);
                return;
            }
            catch (Exception exception) // nobody listens, not registered yet, or the peer went away while we talked
            {
                _lastFailure = exception.Message;
            }
        }
        while (!_wake.Wait(options.RetryDelay));
    }

    private EstablishedLink? Dial()
    {
        SocketTransport socket;
        lock (_lock)
        {
            if (_disposed)
                return null;
            _transport?.Dispose();
            socket = SocketTransport.To(target);
            _transport = socket;
        }

        socket.Connect();
        if (options.Tls is null)
            return LinkHandshake.Dial(socket, address, options);

        var encrypted = TlsLinkTransport.Dial(socket, options.Tls, options.HandshakeDeadline);
        lock (_lock)
        {
            _transport = encrypted;
            if (_disposed)
                encrypted.Dispose();
        }

        return LinkHandshake.Dial(encrypted, address, options);
    }
}
