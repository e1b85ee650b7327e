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
/// States of an epoch: loading (stages prepare, then connect), active (steps flow), broken (a stage or a link was lost; placement
/// is asked for a new plan). Sequences survive an epoch: they are computed again from their tokens in the next one.
/// </remarks>
public sealed partial class ReplicaActor : UntypedActor, IWithTimers, ISchedulerListener
{
    /// <summary>The pub-sub topic on which replicas and placement tell the gateways how they are.</summary>
    public const string StatusTopic = "llama3cluster-status";

    private const string Idle = "idle";
    private const string Loading = "loading";
    private const string Active = "active";
    private const string Broken = "broken";
    private const string ProbeId = "(readiness probe)"; // no endpoint gives such an id
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(3);

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
    private PipelineState? _pipeline;
    private IActorRef? _entry;
    private IActorRef? _entryLink;
    private bool _ready;
    private string _state = Idle;
    private string _problem = "no plan has arrived yet";

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
            _log.LogInformation("{Replica} is ready: a token has passed through its {Stages} stages in epoch {Epoch}", _id, _pipeline!.Plan.Stages.Length, _pipeline.Epoch);
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
            case StageMessages.StageLoading loading when IsPresent(loading.Epoch, loading.Stage):
                _pipeline!.Loading(loading.Stage, loading.Fraction);
                break;
            case StageMessages.StagePrepared prepared when IsPresent(prepared.Epoch, prepared.Stage):
                Prepared(prepared.Stage);
                break;
            case StageMessages.StageConnected connected when IsPresent(connected.Epoch, connected.Stage):
                _pipeline!.Connected(connected.Stage);
                ActivateWhenConnected();
                break;
            case StageMessages.StageFailed failed when IsPresent(failed.Epoch, failed.Stage):
                Break($"stage {failed.Stage} on {_pipeline!.Plan.Stages[failed.Stage].Node}: {failed.Reason}", null);
                break;
            case StageHostActor.LocalStage local:
                EnterAt(local.Actor);
                break;
            case LinkUp up when up.Address.Epoch == _pipeline?.Epoch && Sender.Equals(_entryLink):
                EnterAt(_entryLink);
                break;
            case LinkDown down when down.Address.Epoch == _pipeline?.Epoch:
                Break(down.Reason, null);
                break;
            case StagesSilent silent when silent.Epoch == _pipeline?.Epoch:
                CheckSilence();
                break;
            case WaitedTooLong:
                AbortWaiting($"no pipeline for {_settings.UnavailableAfter.TotalSeconds:0} s: {_problem}");
                break;
            case PublishStatus:
                Publish();
                break;
            case Terminated terminated:
                foreach (string id in _generations.Where(g => g.Value.Equals(terminated.ActorRef)).Select(g => g.Key).ToList())
                    Withdraw(id);
                break;
            case IReplicaMessage or LinkUp or LinkDown or StagesSilent:
                break; // of an epoch that is over
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop() => EndEpoch();

    private bool IsPresent(long epoch, int stage) =>
        _pipeline is not null && epoch == _pipeline.Epoch && (uint)stage < (uint)_pipeline.Plan.Stages.Length;

    private void Complete(SampledFrame sampled)
    {
        bool present = _state == Active && sampled.Tokens.Epoch == _pipeline!.Epoch;
        if (present)
            _scheduler.Complete(sampled.Tokens, this);
        sampled.Release();
        if (present)
            Pump();
    }

    private void Pump()
    {
        while (_state == Active)
        {
            StepFrame frame = _node.Frames.RentStep();
            if (!_scheduler.TrySchedule(frame.Step))
            {
                frame.Release();
                return;
            }

            frame.Step.Epoch = _pipeline!.Epoch;
            frame.Format = _pipeline.Plan.Limits.Activations;
            _entry!.Tell(frame, Self);
        }
    }

    private void Publish()
    {
        _mediator.Tell(new Publish(StatusTopic, new PlacementMessages.ReplicaStatus(
            _id, _pipeline?.Epoch ?? 0, _state, _ready, _problem, _pipeline?.Describe(_state == Broken) ?? [], _scheduler.BlockCount,
            _scheduler.UsedBlockCount, _scheduler.RunningCount, _scheduler.WaitingCount, _settings.MaxWaiting,
            _rate.PerSecond(Environment.TickCount64), _rate.Total)));
    }

    private sealed record StagesSilent(long Epoch);

    private sealed class WaitedTooLong
    {
        public static readonly WaitedTooLong Instance = new();
    }

    private sealed class PublishStatus
    {
        public static readonly PublishStatus Instance = new();
    }
}
