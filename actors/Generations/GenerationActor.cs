using Akka.Actor;
using Akka.Cluster.Sharding;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// One request: its prompt, its parameters and the log of its tokens. A sharded entity. The replica computes at least once; a
/// token is taken only if its index equals the log's length, and told only when the log store has let it go, so the listener
/// hears each exactly once, in order, and none that the cluster could forget.
/// </summary>
/// <remarks>
/// It may begin to live with a new request, or with the log of one that lived elsewhere or that nobody listened to for a while.
/// Without a listener it computes nothing: one that can be resumed leaves its log in the store, the others are forgotten.
/// </remarks>
public sealed class GenerationActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan EnqueueRetry = TimeSpan.FromSeconds(1);

    private readonly Func<IActorRef> _replicas;
    private readonly IActorRef _logs;
    private GenerationLog? _log;
    private IGenerationMessage? _asked; // waits for the log store
    private IActorRef? _listener;
    private IActorRef? _replica;
    private bool _announced;
    private bool _parks = true;
    private int _released;
    private int _told;

    /// <summary>Use <see cref="Props"/>.</summary>
    public GenerationActor(Func<IActorRef> replicas, IActorRef logs)
    {
        _replicas = replicas;
        _logs = logs;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="replicas">The shard region of the replicas.</param>
    /// <param name="logs">This gateway's <see cref="LogStoreActor"/>.</param>
    public static Props Props(Func<IActorRef> replicas, IActorRef logs) => Akka.Actor.Props.Create(() => new GenerationActor(replicas, logs));

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case GenerationMessages.TokenSampled token when _log is not null:
                Take(token);
                break;
            case LogStoreActor.Released released when _log is not null:
                _released = Math.Max(_released, released.Units);
                Tell();
                break;
            case GenerationMessages.Start or GenerationMessages.Attach:
                Hear((IGenerationMessage)message);
                break;
            case LogStoreActor.Recovered recovered when _log is null:
                Recover(recovered);
                break;
            case GenerationMessages.Enqueued when _log is not null:
                Timers.Cancel("enqueue");
                Follow(Sender);
                Announce();
                break;
            case GenerationMessages.Completed completed when _log is not null:
                Complete(completed);
                break;
            case GenerationMessages.Aborted aborted when _log is { End: null }:
                _listener?.Tell(aborted);
                Leave(keep: _log.Count > 0);
                break;
            case GenerationMessages.Cancel when Sender.Equals(_listener):
            case Terminated terminated when terminated.ActorRef.Equals(_listener):
                Withdraw();
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_replica):
                _replica = null;
                Enqueue(); // with the log: the pipeline goes on after it
                break;
            case EnqueueAgain when _log is not null:
                Enqueue();
                break;
            case IGenerationMessage or Terminated or EnqueueAgain or LogStoreActor.Released or LogStoreActor.Recovered:
                break; // of a life that is over
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        if (_log is not null && _parks)
            _logs.Tell(new LogStoreActor.Park(_log.Id));
    }

    private void Hear(IGenerationMessage asked)
    {
        if (_log is not null)
        {
            Attach(asked);
            return;
        }

        if (asked is GenerationMessages.Start { Again: false } start && _asked is null)
        {
            Begin(start);
            return;
        }

        bool searching = _asked is not null;
        _asked = asked;
        if (!searching)
            _logs.Tell(new LogStoreActor.Recover(asked.GenerationId));
    }

    private void Begin(GenerationMessages.Start start)
    {
        _log = new GenerationLog(start);
        _logs.Tell(new LogStoreActor.Create(_log.Request));
        Listen(start.Listener!, 0);
        Enqueue();
    }

    private void Recover(LogStoreActor.Recovered recovered)
    {
        IGenerationMessage? asked = _asked;
        _asked = null;
        if (recovered.Log is not null)
        {
            _log = new GenerationLog(recovered.Log);
            if (asked is not null)
                Attach(asked);
        }
        else if (asked is GenerationMessages.Start start)
        {
            Begin(start);
        }
        else
        {
            if (recovered.Certain && asked is GenerationMessages.Attach attach)
                attach.Listener.Tell(new GenerationMessages.Detached(attach.GenerationId, TakenOver: false));
            Passivate(); // a listener that got no answer asks again
        }
    }

    // Somebody wants to listen to a generation that is there.
    private void Attach(IGenerationMessage asked)
    {
        (IActorRef listener, string? owner, int from) = asked switch
        {
            GenerationMessages.Start start => (start.Listener!, start.Owner, 0),
            GenerationMessages.Attach attach => (attach.Listener, attach.Owner, attach.From),
            _ => throw new ArgumentOutOfRangeException(nameof(asked), asked, "not a listener's message"),
        };
        if ((owner ?? "") != (_log!.Request.Owner ?? ""))
        {
            listener.Tell(new GenerationMessages.Detached(_log.Id, TakenOver: false)); // as if there were none: strangers learn nothing
            if (_listener is null)
                Passivate();
            return;
        }

        Listen(listener, Math.Max(0, from));
        if (asked is GenerationMessages.Attach || _replica is not null || _log.End is not null)
            Announce();
        Tell();
        if (_log is { End: null } && _replica is null)
            Enqueue();
    }

    private void Listen(IActorRef listener, int from)
    {
        if (!listener.Equals(_listener))
        {
            if (_listener is not null)
            {
                Context.Unwatch(_listener);
                _listener.Tell(new GenerationMessages.Detached(_log!.Id, TakenOver: true));
            }

            _listener = Context.Watch(listener);
            _announced = false;
        }

        _told = from;
    }

    private void Announce()
    {
        if (_listener is null || _announced)
            return;
        _announced = true;
        _listener.Tell(new GenerationMessages.Attached(_log!.Id, _log.Request.Prompt.Length, _log.Request.Presentation));
        Tell();
    }

    private void Enqueue()
    {
        GenerationMessages.Start request = _log!.Request;
        _replicas().Tell(new GenerationMessages.Enqueue(
            request.ReplicaId, request.GenerationId, request.Prompt, _log.TokenIds(), request.Sampling, request.MaxTokens, request.EndTokens, Self));
        Timers.StartSingleTimer("enqueue", EnqueueAgain.Instance, EnqueueRetry);
    }

    private void Follow(IActorRef replica)
    {
        if (_replica is not null && !_replica.Equals(replica))
            Context.Unwatch(_replica);
        _replica = Context.Watch(replica);
    }

    private void Take(GenerationMessages.TokenSampled token)
    {
        var entry = new LogMessages.LogToken(token.Token, token.LogProb, token.Top, token.CachedTokens);
        if (_log!.TryAppend(token.Index, entry))
            _logs.Tell(token);
        else if (token.Index > _log.Count)
            EnqueueForWhatIsMissing();
    }

    private void Complete(GenerationMessages.Completed completed)
    {
        // The end token is counted, but it is no token of the log.
        int tokens = completed.GeneratedTokens - (completed.Reason == Inference.FinishReason.EndToken ? 1 : 0);
        if (_log!.Count > 0)
            completed = completed with { CachedTokens = _log[0].CachedTokens };
        if (_log.End is null && _log.TryEnd(tokens, completed))
            _logs.Tell(completed);
        else if (tokens > _log.Count)
            EnqueueForWhatIsMissing();
    }

    // A message was lost on the way: the replica tells again what comes after the log, or computes it again.
    private void EnqueueForWhatIsMissing()
    {
        if (!Timers.IsTimerActive("enqueue"))
            Enqueue();
    }

    private void Tell()
    {
        if (_listener is null || !_announced)
            return;
        for (; _told < Math.Min(_released, _log!.Count); _told++)
        {
            LogMessages.LogToken token = _log[_told];
            _listener.Tell(new GenerationMessages.TokenSampled(_log.Id, _told, token.Token, token.LogProb, token.Top, token.CachedTokens));
        }

        if (_log!.End is { } end && _released == _log.Units && _told >= _log.Count)
        {
            _listener.Tell(end);
            Leave(keep: true);
        }
    }

    private void Withdraw()
    {
        if (_log!.End is null)
            _replicas().Tell(new GenerationMessages.Withdraw(_log.Request.ReplicaId, _log.Id));
        Leave(keep: true);
    }

    // The store keeps what a client may come back for; the next one that asks wakes the generation up.
    private void Leave(bool keep)
    {
        _parks = keep && _log!.Request.Resumable;
        if (!_parks)
            _logs.Tell(new LogStoreActor.Forget(_log!.Id));
        if (_listener is not null)
            Context.Unwatch(_listener);
        _listener = null;
        Timers.CancelAll();
        Passivate();
    }

    private static void Passivate() => Context.Parent.Tell(new Passivate(PoisonPill.Instance));

    private sealed class EnqueueAgain
    {
        public static readonly EnqueueAgain Instance = new();
    }
}
