using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Event;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// Owns the socket of one data connection. Connecting -> Up (-> Broken) -> stopped. Outbound it takes frames and sends them in
/// order, as far as the peer's credit goes; inbound its <see cref="LinkReader"/> tells the frames to the receiver, and the actor grants credit
/// as they are released. It sends blocking, so it has a thread of its own.
/// </summary>
public sealed partial class LinkActor : UntypedActor, IWithTimers
{
    /// <summary>The dispatcher that gives each link a thread: of type <c>PinnedDispatcher</c>.</summary>
    public const string DispatcherId = "llama3cluster.link-dispatcher";

    private readonly LinkOptions _options;
    private readonly LinkAddress _address;
    private readonly IActorRef _client;
    private readonly LinkDialer? _dialer;
    private readonly Queue<PooledFrame> _queue = [];
    private readonly LinkStatistics _statistics = new();
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private Connection? _up;
    private long _pings;
    private string? _failure;
    private string _goodbye = "the link was stopped";

    /// <summary>Use <see cref="Props(LinkOptions, IPEndPoint, LinkAddress, IActorRef)"/>.</summary>
    public LinkActor(LinkOptions options, IPEndPoint? target, LinkAddress address, IActorRef client)
    {
        _options = options;
        _address = address;
        _client = client;
        _dialer = target is null ? null : new LinkDialer(options, target, address, Self);
    }

    /// <summary>Timers of the actor.</summary>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>An outbound link: dials the target, and sends frames to whoever is registered there under the address.</summary>
    /// <param name="options">The node's options.</param>
    /// <param name="target">The listener to dial.</param>
    /// <param name="address">Whom the link leads to.</param>
    /// <param name="owner">Hears <see cref="LinkUp"/> and <see cref="LinkDown"/>; the link ends with it.</param>
    public static Props Props(LinkOptions options, IPEndPoint target, LinkAddress address, IActorRef owner)
    {
        address.ThrowIfInvalid();
        return Akka.Actor.Props.Create(() => new LinkActor(options, target, address, owner)).WithDispatcher(DispatcherId);
    }

    /// <summary>An inbound link: waits for <see cref="Established"/>, then reads frames for the receiver.</summary>
    internal static Props InboundProps(LinkOptions options, LinkAddress address, IActorRef receiver) =>
        Akka.Actor.Props.Create(() => new LinkActor(options, null, address, receiver)).WithDispatcher(DispatcherId);

    /// <summary>Starts to dial.</summary>
    protected override void PreStart()
    {
        LostFrames.Collect(Context.System);
        Context.Watch(_client);
        Become(Connecting);
        if (_dialer is not null)
        {
            Timers.StartSingleTimer(ConnectDeadlinePassed.Instance, ConnectDeadlinePassed.Instance, _options.ConnectDeadline);
            _dialer.Start();
        }
    }

    /// <summary>Closes the socket, gives every frame back, and tells how it ended.</summary>
    protected override void PostStop()
    {
        if (_failure is null && _up is not null)
            SayGoodbye(_up);
        _dialer?.Dispose();
        _up?.Transport.Dispose();
        _up?.Reader.Stop(); // so that no frame follows the LinkDown
        while (_queue.TryDequeue(out PooledFrame? frame))
            frame.Release();
        if (_dialer is not null || _up is not null)
            _client.Tell(new LinkDown(_address, _failure ?? _goodbye));
    }

    /// <summary>A link that failed in a way nobody foresaw is down, as with any other failure.</summary>
    protected override void PreRestart(Exception reason, object message)
    {
        _failure ??= $"the link's actor failed: {reason.Message}";
        base.PreRestart(reason, message);
    }

    /// <summary>There is no second life: whoever needs the link starts another.</summary>
    protected override void PostRestart(Exception reason) => Context.Stop(Self);

    /// <summary>Nothing is expected outside the states.</summary>
    protected override void OnReceive(object message) => Unhandled(message);

    private void Connecting(object message)
    {
        switch (message)
        {
            case PooledFrame frame when _dialer is not null:
                Enqueue(frame);
                break;
            case Established established:
                Open(established.Link);
                break;
            case DialFailed failed:
                Fail(failed.Reason);
                break;
            case ConnectDeadlinePassed:
                Fail($"no link within {_options.ConnectDeadline.TotalSeconds:0.#} s: {_dialer!.Progress}");
                break;
            case Terminated:
                Close("its owner stopped");
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Open(EstablishedLink link)
    {
        Timers.Cancel(ConnectDeadlinePassed.Instance);
        var window = new CreditWindow(link.Credits);
        IActorRef? receiver = _dialer is null ? _client : null;
        link.Transport.SendTimeout = _options.PingTimeout;
        _up = new Connection(
            link.Transport,
            new LinkReader(link.Reader, _options.Pool, Self, _statistics, receiver, window),
            new FrameWriter(link.Transport) { MaxPayloadBytes = link.MaxPayloadBytes },
            window);
        Become(Up);
        _client.Tell(new LinkUp(_address, link.Transport.Peer) { Statistics = _statistics });
        _up.Reader.Start($"read {_address}");
        Timers.StartPeriodicTimer(PingDue.Instance, PingDue.Instance, _options.PingInterval);
        SendQueued(_up);
    }

    private void Up(object message)
    {
        Connection up = _up!;
        switch (message)
        {
            case PooledFrame frame when _dialer is not null:
                Enqueue(frame);
                SendQueued(up);
                break;
            case CreditArrived:
                SendQueued(up);
                break;
            case FramesReleased:
                GrantCredit(up);
                break;
            case PongDue pong:
                SendNumber(up, FrameKind.Pong, pong.Id);
                break;
            case PingDue:
                Ping(up);
                break;
            case ReadingEnded ended:
                Fail(ended.Reason);
                break;
            case Terminated:
                Close(_dialer is null ? "its receiver stopped" : "its owner stopped");
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    /// <summary>The peer has gone, but its goodbye may lie unread: the reader tells when it is through.</summary>
    private void Broken(object message)
    {
        switch (message)
        {
            case PooledFrame frame:
                frame.Release();
                break;
            case ReadingEnded ended:
                _failure = ended.Reason;
                Context.Stop(Self);
                break;
            case PingDue:
                Context.Stop(Self);
                break;
        }
    }

    private void Enqueue(PooledFrame frame)
    {
        if (_queue.Count < _options.MaxQueuedFrames)
        {
            _queue.Enqueue(frame);
            _statistics.OnQueued(_queue.Count);
            return;
        }

        frame.Release();
        _log.Error("The link to {0} overflows: {1} frames wait for credit already.", _address, _queue.Count);
        Fail($"{_queue.Count} frames wait for credit and another came: the sender has more in flight than a link may queue");
    }

    private void SendQueued(Connection up)
    {
        while (_failure is null && _queue.Count > 0 && up.Window.TryTake())
        {
            PooledFrame frame = _queue.Dequeue();
            _statistics.OnQueued(_queue.Count);
            try
            {
                SendFrame(up, frame);
            }
            catch (Exception exception) when (IsLinkFailure(exception))
            {
                OnSendFailed(exception);
            }
            finally
            {
                frame.Release();
            }
        }
    }

    private void SendFrame(Connection up, PooledFrame frame)
    {
        LinkFault fault = _options.Faults.BeforeSend(_address, frame is StepFrame ? FrameKind.Step : FrameKind.Sampled);
        switch (fault.Action)
        {
            case LinkFaultAction.Delay:
                Thread.Sleep(fault.Delay); // the link's own thread: what is behind the frame waits as well
                break;
            case LinkFaultAction.Drop:
                up.Window.TryGive(1);
                return;
            case LinkFaultAction.Disconnect:
                Fail("an injected fault disconnected the link");
                return;
        }

        _statistics.OnSent(up.Writer.Send(frame));
    }

    private void GrantCredit(Connection up)
    {
        int released = up.Reader.TakeReleased();
        if (released > 0 && up.Window.TryGive(released)) // first counted, then sent: the peer uses it at once
            SendNumber(up, FrameKind.Credit, released);
    }

    private void Ping(Connection up)
    {
        if (up.Reader.Silence > _options.PingTimeout)
        {
            Fail($"nothing came from the peer for {up.Reader.Silence.TotalSeconds:0.0} s, more than {_options.PingTimeout.TotalSeconds:0.0} s");
        }
        else if (!up.Reader.AwaitsPong)
        {
            up.Reader.ExpectPong(++_pings);
            SendNumber(up, FrameKind.Ping, _pings);
        }
    }

    private void SendNumber(Connection up, FrameKind kind, long number)
    {
        try
        {
            up.Writer.Send(kind, number);
        }
        catch (Exception exception) when (IsLinkFailure(exception))
        {
            OnSendFailed(exception);
        }
    }

    private void OnSendFailed(Exception exception)
    {
        if (exception is SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            Fail($"the peer took nothing for {_options.PingTimeout.TotalSeconds:0.0} s");
        }
        else if (exception is ProtocolException)
        {
            Fail(exception.Message);
        }
        else
        {
            _failure = exception.Message;
            Become(Broken);
        }
    }

    private void SayGoodbye(Connection up)
    {
        try
        {
            up.Writer.SendBye(_goodbye);
        }
        catch (Exception exception) when (IsLinkFailure(exception))
        {
            _log.Debug("The peer of the link to {0} did not take a goodbye: {1}", _address, exception.Message);
        }
    }

    private void Fail(string reason)
    {
        _failure ??= reason;
        Context.Stop(Self);
    }

    private void Close(string reason)
    {
        _goodbye = reason;
        Context.Stop(Self);
    }

    private static bool IsLinkFailure(Exception exception) =>
        exception is SocketException or IOException or ObjectDisposedException or ProtocolException;
}
