using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Protocol;

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
        SocketTransport transport;
        lock (_lock)
        {
            if (_disposed)
                return null;
            _transport?.Dispose();
            _transport = transport = SocketTransport.To(target);
        }

        transport.Connect();
        return LinkHandshake.Dial(transport, address, options);
    }
}
