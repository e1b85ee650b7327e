using Akka.Actor;
using Akka.Cluster.Sharding;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// One request: its prompt, its parameters and the log of its tokens. A sharded entity. The replica computes at least once; a
/// token is taken only if its index equals the log's length, so the listener hears each exactly once and in order.
/// </summary>
public sealed class GenerationActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan EnqueueRetry = TimeSpan.FromSeconds(1);

    private readonly Func<IActorRef> _replicas;
    private readonly List<int> _log = [];
    private GenerationMessages.Start? _request;
    private IActorRef? _replica;

    /// <summary>Use <see cref="Props"/>.</summary>
    public GenerationActor(Func<IActorRef> replicas) => _replicas = replicas;

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="replicas">The shard region of the replicas.</param>
    public static Props Props(Func<IActorRef> replicas) => Akka.Actor.Props.Create(() => new GenerationActor(replicas));

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case GenerationMessages.Start start when _request is null:
                _request = start;
                Context.Watch(start.Listener);
                Enqueue();
                break;
            case GenerationMessages.Start:
                break; // a repetition
            case GenerationMessages.TokenSampled token when _request is not null:
                Take(token);
                break;
            case GenerationMessages.Enqueued when _request is not null:
                Timers.CancelAll();
                Follow(Sender);
                break;
            case GenerationMessages.Completed or GenerationMessages.Aborted when _request is not null:
                _request.Listener.Tell(message);
                Leave();
                break;
            case GenerationMessages.Cancel:
                Withdraw();
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_request?.Listener):
                Withdraw();
                break;
            case Terminated terminated when terminated.ActorRef.Equals(_replica):
                _replica = null;
                Enqueue(); // with the log: the pipeline goes on after it
                break;
            case EnqueueAgain:
                Enqueue();
                break;
            case PoisonPill:
                Context.Stop(Self);
                break;
            case IGenerationMessage or Terminated:
                break; // of a life that is over
            default:
                Unhandled(message);
                break;
        }
    }

    private void Enqueue()
    {
        GenerationMessages.Start request = _request!;
        _replicas().Tell(new GenerationMessages.Enqueue(
            request.ReplicaId, request.GenerationId, request.Prompt, [.. _log], request.Sampling, request.MaxTokens, request.EndTokens, Self));
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
        if (token.Index != _log.Count)
            return;
        _log.Add(token.Token);
        _request!.Listener.Tell(token);
    }

    private void Withdraw()
    {
        if (_request is not null)
            _replicas().Tell(new GenerationMessages.Withdraw(_request.ReplicaId, _request.GenerationId));
        Leave();
    }

    private void Leave()
    {
        _request = null;
        Timers.CancelAll();
        Context.Parent.Tell(new Passivate(PoisonPill.Instance));
    }

    private sealed class EnqueueAgain
    {
        public static readonly EnqueueAgain Instance = new();
    }
}
