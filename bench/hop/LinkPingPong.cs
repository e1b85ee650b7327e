using System.Diagnostics;
using System.Net;
using Akka.Actor;
using Akka.Configuration;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Hop;

/// <summary>Two stages' actors and the two links between them, as a cluster has them: the far one sends each frame back.</summary>
internal sealed class LinkPingPong : IPingPong
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly LinkAddress There = new("hop", 1, 0), Back = new("hop", 1, 1);

    private static readonly Config Settings = ConfigurationFactory.ParseString("""
        llama3cluster.link-dispatcher.type = PinnedDispatcher
        llama3cluster.stage-dispatcher.type = PinnedDispatcher
        akka.loglevel = WARNING
        akka.stdout-loglevel = WARNING
        """);

    private readonly ActorSystem _system = ActorSystem.Create("hop", Settings);
    private readonly IActorRef _near;

    public LinkPingPong()
    {
        var pool = new FramePool();
        var options = new LinkOptions { ClusterName = "hop", ModelFingerprint = "hop", Pool = pool };
        IActorRef listener = _system.ActorOf(LinkListenerActor.Props(options, new IPEndPoint(IPAddress.Loopback, 0)));
        IPEndPoint endpoint = listener.Ask<LinkListenerActor.Bound>(LinkListenerActor.GetEndpoint.Instance, Patience).GetAwaiter().GetResult().Endpoint;
        var ups = new CountdownEvent(4); // two links of two ends
        _near = Start(Props.Create(() => new Near(pool, options, endpoint, ups)));
        IActorRef far = Start(Props.Create(() => new Far(options, endpoint, ups)));
        listener.Tell(new LinkListenerActor.Register(There, far));
        listener.Tell(new LinkListenerActor.Register(Back, _near));
        if (!ups.Wait(Patience))
            throw new TimeoutException($"the links were not up within {Patience.TotalSeconds:0} s");
    }

    public void Play(int bytes, double seconds, List<double> roundTrips)
    {
        var game = new Game(bytes, seconds, roundTrips);
        _near.Tell(game);
        game.Over.Task.GetAwaiter().GetResult();
    }

    public void Dispose() => _system.Terminate().GetAwaiter().GetResult();

    private IActorRef Start(Props props) => _system.ActorOf(props.WithDispatcher("llama3cluster.stage-dispatcher"));

    private sealed record Game(int Bytes, double Seconds, List<double> RoundTrips)
    {
        public TaskCompletionSource Over { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Serves and counts.</summary>
    private sealed class Near(FramePool pool, LinkOptions options, IPEndPoint endpoint, CountdownEvent ups) : UntypedActor
    {
        private IActorRef _link = ActorRefs.Nobody;
        private Game? _game;
        private long _start;
        private long _end;
        private long _number;

        protected override void PreStart() => _link = Context.ActorOf(LinkActor.Props(options, endpoint, There, Self));

        protected override void OnReceive(object message)
        {
            switch (message)
            {
                case StepFrame frame:
                    frame.Release();
                    _game!.RoundTrips.Add(Stopwatch.GetElapsedTime(_start).TotalSeconds);
                    if (Stopwatch.GetTimestamp() < _end)
                        Serve();
                    else
                        _game.Over.SetResult();
                    break;
                case Game game:
                    _game = game;
                    _end = Stopwatch.GetTimestamp() + (long)(game.Seconds * Stopwatch.Frequency);
                    Serve();
                    break;
                case LinkUp:
                    ups.Signal();
                    break;
                case LinkDown down:
                    _game?.Over.TrySetException(new IOException($"a link went down: {down.Reason}"));
                    break;
            }
        }

        private void Serve()
        {
            _start = Stopwatch.GetTimestamp();
            StepFrame frame = pool.RentStep();
            frame.Step.Epoch = There.Epoch;
            frame.Step.Number = _number++;
            frame.Step.Add(new SequenceRun { Slot = 0, Sequence = 1 }, [1], []);
            frame.PreparePayload(_game!.Bytes);
            _link.Tell(frame);
        }
    }

    /// <summary>Returns.</summary>
    private sealed class Far(LinkOptions options, IPEndPoint endpoint, CountdownEvent ups) : UntypedActor
    {
        private IActorRef _link = ActorRefs.Nobody;

        protected override void PreStart() => _link = Context.ActorOf(LinkActor.Props(options, endpoint, Back, Self));

        protected override void OnReceive(object message)
        {
            if (message is StepFrame frame)
                _link.Tell(frame);
            else if (message is LinkUp)
                ups.Signal();
        }
    }
}
