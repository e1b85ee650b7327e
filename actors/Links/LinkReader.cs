using System.Diagnostics;
using Akka.Actor;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// The thread that reads a link's socket: frames go straight from the socket's buffer into pooled ones and to their receiver,
/// everything else to the link's actor. It never waits for the receiver: credits bound how many frames that can hold.
/// </summary>
internal sealed class LinkReader : IFrameSource
{
    private readonly FrameReader _frames;
    private readonly FramePool _pool;
    private readonly IActorRef _link;
    private readonly LinkStatistics _statistics;
    private readonly IActorRef? _receiver;
    private readonly CreditWindow _window;
    private readonly RunScratch _scratch = new();
    private int _released;
    private long _awaitedPong = -1;
    private long _pingSentAt;
    private volatile bool _stopped;
    private Thread? _thread;

    /// <summary>
    /// A link that receives has a receiver, and its frames take from <paramref name="window"/>; a link that sends has none, and
    /// the credits that its peer grants go back to <paramref name="window"/>.
    /// </summary>
    public LinkReader(
        FrameReader frames, FramePool pool, IActorRef link, LinkStatistics statistics, IActorRef? receiver, CreditWindow window)
    {
        _frames = frames;
        _pool = pool;
        _link = link;
        _statistics = statistics;
        _receiver = receiver;
        _window = window;
    }

    /// <summary>How long nothing has come from the peer.</summary>
    public TimeSpan Silence => _frames.Silence;

    /// <summary>Whether the last ping is still without an answer.</summary>
    public bool AwaitsPong => Volatile.Read(ref _awaitedPong) >= 0;

    /// <summary>Begins to read. Ends when the transport is disposed, the peer closes, or what it sends makes no sense.</summary>
    public void Start(string name)
    {
        _thread = new Thread(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>
    /// To be called once the transport is disposed: no frame is delivered any more when this returns, and frames that are
    /// released later earn nobody credit.
    /// </summary>
    public void Stop()
    {
        _stopped = true;
        _thread?.Join();
    }

    /// <summary>The actor is about to send this ping.</summary>
    public void ExpectPong(long id)
    {
        _pingSentAt = Stopwatch.GetTimestamp();
        Volatile.Write(ref _awaitedPong, id);
    }

    /// <summary>Frames that were consumed since the last call: as much credit is due.</summary>
    public int TakeReleased() => Interlocked.Exchange(ref _released, 0);

    void IFrameSource.OnFrameReleased()
    {
        // Only the first since the actor took them wakes it: the others travel with the same credit.
        if (Interlocked.Increment(ref _released) == 1 && !_stopped)
            _link.Tell(LinkActor.FramesReleased.Instance, ActorRefs.NoSender);
    }

    private void Run()
    {
        string reason;
        try
        {
            reason = Read();
        }
        catch (Exception exception) // one that left the thread would end the process
        {
            reason = exception.Message;
        }

        _link.Tell(new LinkActor.ReadingEnded(reason), ActorRefs.NoSender);
    }

    private string Read()
    {
        while (_frames.ReadHeader())
        {
            FrameKind kind = FrameCodec.KindOf(_frames.Header);
            if (kind != FrameKind.Step && _frames.PayloadLength > 0)
                throw new ProtocolException($"a {kind} frame with a payload of {_frames.PayloadLength} bytes");

            switch (kind)
            {
                case FrameKind.Step when _receiver is not null:
                    ReceiveStep(_receiver);
                    break;
                case FrameKind.Sampled when _receiver is not null:
                    ReceiveSampled(_receiver);
                    break;
                case FrameKind.Credit when _receiver is null:
                    ReceiveCredit();
                    break;
                case FrameKind.Ping:
                    _link.Tell(new LinkActor.PongDue(FrameCodec.ReadPing(_frames.Header)), ActorRefs.NoSender);
                    break;
                case FrameKind.Pong:
                    ReceivePong();
                    break;
                case FrameKind.Bye:
                    return $"the peer closed the link: {FrameCodec.ReadBye(_frames.Header)}";
                default:
                    throw new ProtocolException($"a {kind} frame does not belong here");
            }
        }

        return "the peer closed the connection";
    }

    private void ReceiveStep(IActorRef receiver)
    {
        StepFrame frame = _pool.RentStep();
        try
        {
            FrameCodec.ReadStep(_frames.Header, _frames.PayloadLength, _scratch, frame);
            _frames.ReadPayload(frame.PreparePayload(_frames.PayloadLength));
            Deliver(frame, receiver);
        }
        catch
        {
            frame.Release();
            throw;
        }
    }

    private void ReceiveSampled(IActorRef receiver)
    {
        SampledFrame frame = _pool.RentSampled();
        try
        {
            FrameCodec.ReadSampled(_frames.Header, frame.Tokens);
            Deliver(frame, receiver);
        }
        catch
        {
            frame.Release();
            throw;
        }
    }

    private void Deliver(PooledFrame frame, IActorRef receiver)
    {
        if (!_window.TryTake())
            throw new ProtocolException($"the peer sent a frame without credit: {_window.InFlight} are in flight");
        _statistics.OnReceived(HeaderBuffer.PrefixBytes + _frames.Header.Length + _frames.PayloadLength);
        frame.ReportReleaseTo(this);
        receiver.Tell(frame, _link);
    }

    private void ReceiveCredit()
    {
        int credits = FrameCodec.ReadCredit(_frames.Header);
        if (!_window.TryGive(credits))
            throw new ProtocolException($"the peer granted {credits} frames of credit, more than were in flight");
        _link.Tell(LinkActor.CreditArrived.Instance, ActorRefs.NoSender);
    }

    private void ReceivePong()
    {
        long id = FrameCodec.ReadPong(_frames.Header);
        if (Interlocked.CompareExchange(ref _awaitedPong, -1, id) != id)
            throw new ProtocolException($"a pong {id} that nobody asked for");
        _statistics.OnPong(Stopwatch.GetElapsedTime(_pingSentAt));
    }
}
