using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Tools.PublishSubscribe;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Scheduling;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Shards.Sampling;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Replicas;

/// <summary>
/// One pipeline: builds it as placement plans it, keeps it busy, and hands its tokens to the generations. A sharded entity with
/// a thread of its own; per token it asks nobody and, apart from the token's message, allocates nothing.
/// </summary>
/// <remarks>
/// <see cref="ReplicaPipeline"/> decides how epochs begin and end, <see cref="BatchScheduler"/> what is computed in them. Sequences
/// survive an epoch: they are computed again from their tokens in the next one.
/// </remarks>
public sealed partial class ReplicaActor : UntypedActor, IWithTimers, ISchedulerListener
{
    /// <summary>The pub-sub topic on which replicas and placement tell the gateways how they are.</summary>
    public const string StatusTopic = "llama3cluster-status";

    private const string ProbeId = "(readiness probe)"; // no endpoint gives such an id
    private const long LeastStepDeadline = 30_000; // milliseconds
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(2);

    private readonly NodeContext _node;
    private readonly ReplicaSettings _settings;
    private readonly string _id;
    private readonly Func<IActorRef> _placement;
    private readonly BatchScheduler _scheduler;
    private readonly Dictionary<string, IActorRef> _generations = [];
    private readonly TokenRate _rate = new();
    private readonly ILogger _log;
    private readonly IActorRef _mediator = DistributedPubSub.Get(Context.System).Mediator;
    private readonly string _address = NodeContext.AddressOf(Cluster.Get(Context.System).SelfAddress);
    private readonly ReplicaPipeline _pipeline;
    private IActorRef? _entry;
    private IActorRef? _entryLink;
    private long _lastResult = Environment.TickCount64;
    private long _slowestStep; // milliseconds between two results, decaying
    private bool _ready;

    /// <summary>Use <see cref="Props"/>.</summary>
    public ReplicaActor(NodeContext node, string id, Func<IActorRef> placement)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<ReplicaActor>();
        _id = id;
        _placement = placement;
        _settings = node.Options.Replicas ?? throw new ArgumentException("replicas live on gateways only", nameof(node));
        _scheduler = new BatchScheduler(new SchedulerOptions(
            _settings.MaxRows, _settings.MaxSequences, _settings.MaxWaiting, _settings.ContextLength));
        _pipeline = new ReplicaPipeline(
            id, _address, node.DataEndpoint.Address.ToString(), node.DataEndpoint.Port, Self, _scheduler, this);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts.</param>
    /// <param name="id">The replica's id, that is the entity's.</param>
    /// <param name="placement">The way to the placement singleton.</param>
    public static Props Props(NodeContext node, string id, Func<IActorRef> placement) =>
        Akka.Actor.Props.Create(() => new ReplicaActor(node, id, placement)).WithDispatcher("llama3cluster.replica-dispatcher");

    /// <inheritdoc/>
    public void OnToken(Sequence sequence, float logProb, ReadOnlySpan<TokenLogProb> top)
    {
        if (sequence.Id == ProbeId)
            return;
        _rate.Add(Environment.TickCount64);
        if (_generations.TryGetValue(sequence.Id, out IActorRef? generation))
        {
            generation.Tell(new GenerationMessages.TokenSampled(
                sequence.Id, sequence.GeneratedCount - 1, sequence.Tokens[^1], logProb, top.IsEmpty ? null : top.ToArray(), sequence.CachedTokens ?? 0));
        }
    }

    /// <inheritdoc/>
    public void OnFinished(Sequence sequence, FinishReason reason)
    {
        if (sequence.Id == ProbeId)
        {
            _ready = true;
            _log.LogInformation("{Replica} is ready: a token has passed through its {Stages} in epoch {Epoch}", _id, CountOf(_pipeline.Current!.Plan), _pipeline.Current.Epoch);
            Publish();
            return;
        }

        if (Forget(sequence.Id) is { } generation)
            generation.Tell(new GenerationMessages.Completed(sequence.Id, reason, sequence.GeneratedCount, sequence.CachedTokens ?? 0));
    }

    /// <inheritdoc/>
    protected override void PreStart() =>
        Timers.StartPeriodicTimer("status", PublishStatus.Instance, TimeSpan.Zero, TimeSpan.FromSeconds(1));

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case SampledFrame sampled:
                Complete(sampled);
                break;
            case GenerationMessages.Enqueue enqueue:
                Enqueue(enqueue);
                break;
            case GenerationMessages.Withdraw withdraw:
                Withdraw(withdraw.GenerationId);
                break;
            case PlacementMessages.AssignPlan plan:
                Assign(plan);
                break;
            case StageMessages.StageLoading loading:
                _pipeline.Loading(loading);
                break;
            case StageMessages.StagePrepared prepared:
                _pipeline.Prepared(prepared);
                Drain();
                break;
            case StageMessages.StageConnected connected:
                _pipeline.Connected(connected);
                break;
            case StageMessages.StageFailed failed:
                _pipeline.Failed(failed);
                break;
            case StageHostActor.LocalStage local:
                EnterAt(local);
                break;
            case LinkUp up when Sender.Equals(_entryLink):
                _entry = _entryLink;
                _pipeline.Entered(up.Address.Epoch);
                break;
            case LinkUp:
                break; // of the last stage, or of an epoch that is over
            case LinkDown down:
                _pipeline.Break(down.Address.Epoch, down.Reason);
                break;
            case DrainDeadline deadline:
                _pipeline.StopDraining(deadline.Epoch);
                break;
            case WaitedTooLong:
                AbortWaiting($"no pipeline for {_settings.UnavailableAfter.TotalSeconds:0} s: {_pipeline.Problem}");
                break;
            case PublishStatus:
                CheckProgress();
                _pipeline.Repeat();
                Publish();
                break;
            case Terminated terminated:
                foreach (string id in _generations.Where(g => g.Value.Equals(terminated.ActorRef)).Select(g => g.Key).ToList())
                    Withdraw(id);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop() => _pipeline.Stop();

    private void Complete(SampledFrame sampled)
    {
        bool present = _pipeline.Complete(sampled.Tokens, this);
        sampled.Release();
        if (!present)
            return;
        long now = Environment.TickCount64;
        _slowestStep = Math.Max(now - _lastResult, _slowestStep - (_slowestStep >> 8));
        _lastResult = now;
        Pump();
    }

    private void Pump()
    {
        while (_pipeline.IsActive)
        {
            StepFrame frame = _node.Frames.RentStep();
            if (!_pipeline.TrySchedule(frame.Step))
            {
                frame.Release();
                return;
            }

            if (_scheduler.StepsInFlight == 1)
                _lastResult = Environment.TickCount64;
            frame.Format = _pipeline.Current!.Plan.Limits.Activations;
            _entry!.Tell(frame, Self);
        }
    }

    private void Publish()
    {
        _mediator.Tell(new Publish(StatusTopic, new PlacementMessages.ReplicaStatus(
            _id, _pipeline.Shown?.Epoch ?? 0, State, _ready, _pipeline.Problem, _pipeline.Shown?.Describe() ?? [], _scheduler.BlockCount,
            _scheduler.UsedBlockCount, _scheduler.RunningCount, _scheduler.WaitingCount, _settings.MaxWaiting,
            _rate.PerSecond(Environment.TickCount64), _rate.Total, _pipeline.Refused, _scheduler.RowsReplayed)));
    }

    private string State =>
        _pipeline.IsActive ? "active" : _pipeline.Next is not null ? "loading" : _pipeline.IsRefused || _pipeline.Shown is null && _rate.Total == 0 ? "idle" : "broken";

    private sealed class WaitedTooLong
    {
        public static readonly WaitedTooLong Instance = new();
    }

    private sealed class PublishStatus
    {
        public static readonly PublishStatus Instance = new();
    }
}
