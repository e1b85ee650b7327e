using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Event;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// A node's data endpoint: takes the links that other nodes dial and leads each to the receiver that is registered for its
/// address. Listening, or Unbound if it could not have its endpoint.
/// </summary>
public sealed class LinkListenerActor : UntypedActor
{
    private readonly LinkOptions _options;
    private readonly IPEndPoint _endpoint;
    private readonly LinkRegistry _registry = new();
    private readonly Dictionary<IActorRef, Inbound> _links = [];
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private LinkAcceptor? _acceptor;
    private Statistics _statistics = new();

    /// <summary>Use <see cref="Props"/>.</summary>
    public LinkListenerActor(LinkOptions options, IPEndPoint endpoint)
    {
        _options = options;
        _endpoint = endpoint;
    }

    /// <summary>A listener at an endpoint; port 0 lets the system choose one.</summary>
    public static Props Props(LinkOptions options, IPEndPoint endpoint) =>
        Akka.Actor.Props.Create(() => new LinkListenerActor(options, endpoint));

    /// <summary>Binds.</summary>
    protected override void PreStart()
    {
        LostFrames.Collect(Context.System);
        try
        {
            _acceptor = LinkAcceptor.Start(_endpoint, _options, _registry, Self);
            Become(Listening);
        }
        catch (SocketException exception)
        {
            var failed = new BindFailed(_endpoint, $"cannot listen for links at {_endpoint}: {exception.Message}. {Remedy(exception)}");
            _log.Error("Data endpoint: {0}", failed.Reason);
            Context.Parent.Tell(failed);
            Become(message => Unbound(message, failed));
        }
    }

    /// <summary>Closes the endpoint and, with the links that are its children, every connection.</summary>
    protected override void PostStop()
    {
        _acceptor?.Dispose();
        foreach (Inbound link in _links.Values)
            link.Established.Transport.Dispose();
    }

    /// <summary>Nothing is expected outside the states.</summary>
    protected override void OnReceive(object message) => Unhandled(message);

    private void Listening(object message)
    {
        switch (message)
        {
            case GetEndpoint:
                Sender.Tell(new Bound(_acceptor!.Endpoint));
                break;
            case GetStatistics:
                Sender.Tell(_statistics);
                break;
            case Register register:
                OnRegister(register);
                break;
            case Unregister unregister:
                Forget(unregister.Address);
                break;
            case Accepted accepted:
                OnAccepted(accepted);
                break;
            case HandshakeFailed failed:
                OnHandshakeFailed(failed);
                break;
            case AcceptFailed failed:
                _log.Warning("Data endpoint {0} cannot accept connections and goes on trying: {1}", _acceptor!.Endpoint, failed.Reason);
                break;
            case Terminated terminated when _links.Remove(terminated.ActorRef, out Inbound? link):
                link.Established.Transport.Dispose(); // in case it ended before it had it
                link.Claim.Free();
                break;
            case Terminated terminated:
                foreach (LinkAddress address in _registry.AddressesOf(terminated.ActorRef))
                    _registry.Remove(address);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Unbound(object message, BindFailed failed)
    {
        if (message is GetEndpoint)
            Sender.Tell(failed);
        else
            Unhandled(message);
    }

    private void OnRegister(Register register)
    {
        register.Address.ThrowIfInvalid();
        if (register.Receiver.Equals(_registry.ReceiverOf(register.Address)))
            return;

        Forget(register.Address);
        _registry.Add(register.Address, register.Receiver);
        Context.Watch(register.Receiver);
    }

    private void Forget(LinkAddress address)
    {
        if (_registry.ReceiverOf(address) is not IActorRef receiver)
            return;

        _registry.Remove(address);
        if (_registry.AddressesOf(receiver).Count == 0)
            Context.Unwatch(receiver);
        foreach ((IActorRef link, Inbound inbound) in _links)
        {
            if (inbound.Established.Address == address)
                Context.Stop(link);
        }
    }

    private void OnAccepted(Accepted accepted)
    {
        EstablishedLink established = accepted.Link;
        if (!_acceptor!.TryTake(established))
            return;

        _statistics = _statistics with { Established = _statistics.Established + 1 };
        IActorRef link = Context.ActorOf(LinkActor.InboundProps(_options, established.Address, accepted.Claim.Receiver));
        Context.Watch(link);
        _links.Add(link, new Inbound(established, accepted.Claim));
        link.Tell(new LinkActor.Established(established));
    }

    private void OnHandshakeFailed(HandshakeFailed failed)
    {
        _statistics = failed.Outcome switch
        {
            HandshakeOutcome.Refused => _statistics with { Refused = _statistics.Refused + 1 },
            HandshakeOutcome.Unauthenticated => _statistics with { Unauthenticated = _statistics.Unauthenticated + 1 },
            HandshakeOutcome.Malformed => _statistics with { Malformed = _statistics.Malformed + 1 },
            HandshakeOutcome.TimedOut => _statistics with { TimedOut = _statistics.TimedOut + 1 },
            HandshakeOutcome.Crowded => _statistics with { Crowded = _statistics.Crowded + 1 },
            _ => _statistics with { Disconnected = _statistics.Disconnected + 1 },
        };
        _log.Debug("No link from {0} ({1}): {2}", failed.Peer, failed.Outcome, failed.Reason);
    }

    private static string Remedy(SocketException exception) => exception.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => "Stop the process that listens there, or choose another port (0 lets the system choose).",
        SocketError.AddressNotAvailable => "Choose an address of one of this machine's network interfaces.",
        SocketError.AccessDenied => "Choose a port above 1023, or grant the process the right to this one.",
        _ => "Choose another address or port.",
    };

    /// <summary>Where does it listen? Answered by <see cref="Bound"/> or <see cref="BindFailed"/>.</summary>
    public sealed record GetEndpoint
    {
        /// <summary>The one there is.</summary>
        public static GetEndpoint Instance { get; } = new();
    }

    /// <summary>It listens here.</summary>
    /// <param name="Endpoint">The address and the port, the chosen one if any was asked for.</param>
    public sealed record Bound(IPEndPoint Endpoint);

    /// <summary>It listens nowhere. Told to the parent at once, and to whoever asks.</summary>
    /// <param name="Endpoint">The endpoint it was to have.</param>
    /// <param name="Reason">Why, and what to do.</param>
    public sealed record BindFailed(IPEndPoint Endpoint, string Reason);

    /// <summary>
    /// From now on, links to the address lead to the receiver, which hears <see cref="LinkUp"/>, frames and
    /// <see cref="LinkDown"/>. Ends by itself when the receiver stops; another receiver of the address loses it and its link.
    /// </summary>
    /// <param name="Address">The address.</param>
    /// <param name="Receiver">Who receives.</param>
    public sealed record Register(LinkAddress Address, IActorRef Receiver) : INoSerializationVerificationNeeded;

    /// <summary>Nobody receives at the address any more; its link is closed.</summary>
    /// <param name="Address">The address.</param>
    public sealed record Unregister(LinkAddress Address) : INoSerializationVerificationNeeded;

    /// <summary>What became of the connections so far? Answered by <see cref="Statistics"/>.</summary>
    public sealed record GetStatistics
    {
        /// <summary>The one there is.</summary>
        public static GetStatistics Instance { get; } = new();
    }

    /// <summary>What became of the connections that were accepted.</summary>
    /// <param name="Established">Became links.</param>
    /// <param name="Refused">Were told why not.</param>
    /// <param name="Malformed">Did not speak the protocol.</param>
    /// <param name="TimedOut">Were too slow.</param>
    /// <param name="Disconnected">Went away in the handshake.</param>
    /// <param name="Crowded">Were closed at once, since too many others were in their handshake.</param>
    /// <param name="Unauthenticated">Showed no certificate of the cluster's authority, or did not speak TLS.</param>
    public sealed record Statistics(
        long Established = 0, long Refused = 0, long Malformed = 0, long TimedOut = 0, long Disconnected = 0, long Crowded = 0,
        long Unauthenticated = 0);

    /// <summary>From a handshake's thread: a link, and the receiver it has taken.</summary>
    internal sealed record Accepted(EstablishedLink Link, LinkRegistry.Claim Claim)
        : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From a handshake's thread: no link.</summary>
    internal sealed record HandshakeFailed(HandshakeOutcome Outcome, IPEndPoint Peer, string Reason)
        : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From the accepting thread: the system would not give it a connection.</summary>
    internal sealed record AcceptFailed(string Reason) : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    private sealed record Inbound(EstablishedLink Established, LinkRegistry.Claim Claim);
}

/// <summary>How a handshake can fail.</summary>
internal enum HandshakeOutcome
{
    Refused,
    Unauthenticated,
    Malformed,
    TimedOut,
    Disconnected,
    Crowded,
}
