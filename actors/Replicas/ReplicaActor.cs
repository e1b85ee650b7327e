using System.Net;
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
public sealed class ReplicaActor : UntypedActor, IWithTimers, ISchedulerListener
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
                sequence.Id, sequence.GeneratedCount - 1, sequence.Tokens[^1], logProb, top.IsEmpty ? null : top.ToArray()));
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

    // ---- requests ----

    private void Enqueue(GenerationMessages.Enqueue request)
    {
        if (_scheduler.Find(request.GenerationId) is { } known)
        {
            Adopt(request);
            for (int i = request.Log.Length; i < known.GeneratedCount; i++)
                request.Generation.Tell(new GenerationMessages.TokenSampled(request.GenerationId, i, known.Tokens[known.PromptLength + i], 0, null));
            return;
        }

        int tokens = Math.Min(request.Prompt.Length + request.MaxTokens, _settings.ContextLength);
        if (_pipeline is { Plan.Stages.Length: 0 })
            Refuse(request, FailureCode.Unavailable, _problem, 10);
        else if (!_scheduler.Fits(tokens))
            Refuse(request, FailureCode.ContextLengthExceeded, $"{request.Prompt.Length} prompt tokens and {request.MaxTokens} of the answer need more KV cache than the {_scheduler.BlockCount * 16} positions of the pipeline; ask for fewer tokens, or serve with more memory (--kv-tokens)", null);
        else if (!_scheduler.HasRoom)
            Refuse(request, FailureCode.QueueFull, $"{_scheduler.WaitingCount} requests wait already, the most that the queue takes", RetryAfter());
        else
        {
            Adopt(request);
            _scheduler.Submit(new Sequence(
                request.GenerationId, request.Prompt, request.Log, request.Sampling, request.MaxTokens, request.EndTokens.ToHashSet()));
            LimitTheWait();
            Pump();
        }
    }

    private void Adopt(GenerationMessages.Enqueue request)
    {
        if (_generations.TryGetValue(request.GenerationId, out IActorRef? before) && !before.Equals(request.Generation))
            Context.Unwatch(before);
        _generations[request.GenerationId] = request.Generation;
        Context.Watch(request.Generation);
        request.Generation.Tell(new GenerationMessages.Enqueued(request.GenerationId));
    }

    private static void Refuse(GenerationMessages.Enqueue request, FailureCode code, string reason, int? retryAfterSeconds) =>
        request.Generation.Tell(new GenerationMessages.Aborted(request.GenerationId, code, reason, retryAfterSeconds));

    // The queue empties at about the rate at which tokens are made; a guess, kept within a minute.
    private int RetryAfter()
    {
        double rate = _rate.PerSecond(Environment.TickCount64);
        return rate <= 0 ? 5 : (int)Math.Clamp(_scheduler.WaitingCount * 32 / rate, 1, 60);
    }

    private void Withdraw(string id)
    {
        Forget(id);
        _scheduler.Remove(id);
        Pump();
    }

    private IActorRef? Forget(string id)
    {
        if (_generations.Remove(id, out IActorRef? generation))
            Context.Unwatch(generation);
        return generation;
    }

    private void LimitTheWait()
    {
        if (_state != Active && _generations.Count > 0 && !Timers.IsTimerActive("waited"))
            Timers.StartSingleTimer("waited", WaitedTooLong.Instance, _settings.UnavailableAfter);
    }

    private void AbortWaiting(string reason)
    {
        if (_state == Active)
            return;
        foreach (string id in _generations.Keys.ToList())
        {
            _scheduler.Remove(id);
            Forget(id)?.Tell(new GenerationMessages.Aborted(id, FailureCode.Unavailable, reason, 10));
        }
    }

    // ---- the pipeline ----

    private void Assign(PlacementMessages.AssignPlan plan)
    {
        if (plan.Epoch <= (_pipeline?.Epoch ?? 0))
            return;
        EndEpoch();
        _pipeline = new PipelineState(plan);
        if (plan.Stages.Length == 0)
        {
            (_state, _problem) = (Idle, plan.Reason);
            AbortWaiting(plan.Reason);
            Publish();
            return;
        }

        (_state, _problem) = (Loading, "the pipeline is loading");
        _log.LogInformation("{Replica}, epoch {Epoch}: {Count} stages: {Stages}", _id, plan.Epoch, plan.Stages.Length, string.Join("; ", plan.Stages.Select(s => $"{s.Slice} on {s.Node}")));
        for (int i = 0; i < plan.Stages.Length; i++)
        {
            StageHostActor.On(plan.Stages[i].Node).Tell(new StageMessages.PrepareStage(
                _id, plan.Epoch, i, plan.Stages[i].DeviceIndex, plan.Stages[i].Slice, plan.Limits, Self));
        }

        Timers.StartSingleTimer("silent", new StagesSilent(plan.Epoch), SilenceLimit);
        Publish();
    }

    private void CheckSilence()
    {
        if (_pipeline!.Silent.FirstOrDefault() is { } silent)
            Break($"node {silent.Node} did not answer for {SilenceLimit.TotalSeconds:0} s", silent.Node);
    }

    private void Prepared(int stage)
    {
        _pipeline!.Prepared(stage);
        if (!_pipeline.AllPrepared)
            return;
        _node.Listener.Tell(new LinkListenerActor.Register(new LinkAddress(_id, _pipeline.Epoch, -1), Self));
        PlacementMessages.StageAssignment[] stages = _pipeline.Plan.Stages;
        for (int i = 0; i < stages.Length; i++)
        {
            bool last = i == stages.Length - 1;
            (string node, string host, int port) = last
                ? (_address, _node.DataEndpoint.Address.ToString(), _node.DataEndpoint.Port)
                : (stages[i + 1].Node, stages[i + 1].DataHost, stages[i + 1].DataPort);
            StageHostActor.On(stages[i].Node).Tell(new StageMessages.ConnectStage(_id, _pipeline.Epoch, i, last ? -1 : i + 1, node, host, port));
        }

        ConnectToFirst(stages[0]);
    }

    private void ConnectToFirst(PlacementMessages.StageAssignment first)
    {
        if (first.Node == _address)
        {
            StageHostActor.On(first.Node).Tell(new StageHostActor.FindStage(_id, _pipeline!.Epoch, 0));
            return;
        }

        var address = new LinkAddress(_id, _pipeline!.Epoch, 0);
        _entryLink = Context.ActorOf(LinkActor.Props(_node.Links, new IPEndPoint(IPAddress.Parse(first.DataHost), first.DataPort), address, Self));
    }

    private void EnterAt(IActorRef? entry)
    {
        if (entry is null || _pipeline is null || _state != Loading)
            return;
        _entry = entry;
        _pipeline.EntryConnected = true;
        ActivateWhenConnected();
    }

    private void ActivateWhenConnected()
    {
        if (_state != Loading || !_pipeline!.AllConnected)
            return;
        (_state, _problem) = (Active, "");
        Timers.Cancel("silent");
        Timers.Cancel("waited");
        foreach (Sequence misfit in _scheduler.Activate(_pipeline.Plan.Stages.Length, _pipeline.Plan.Limits.KvBlocks))
        {
            Forget(misfit.Id)?.Tell(new GenerationMessages.Aborted(misfit.Id, FailureCode.ContextLengthExceeded,
                $"{misfit.PromptLength} prompt tokens and {misfit.MaxTokens} of the answer need more KV cache than the {_scheduler.BlockCount * 16} positions of the pipeline", null));
        }

        Probe();
        Publish();
        Pump();
    }

    // Ready means that a real token has passed through every stage.
    private void Probe()
    {
        int token = _node.Options.Model.Config.BosToken ?? 0;
        _scheduler.Remove(ProbeId);
        _scheduler.Submit(new Sequence(ProbeId, [token], [], SamplingParameters.Greedy, 1, new HashSet<int>()));
    }

    private void Break(string reason, string? node)
    {
        if (_pipeline is null || _state is Idle or Broken)
            return;
        _log.LogWarning("{Replica}, epoch {Epoch} is over: {Reason}", _id, _pipeline.Epoch, reason);
        EndEpoch();
        (_state, _problem) = (Broken, reason);
        _placement().Tell(new PlacementMessages.ReplicaBroken(_id, _pipeline.Epoch, node, reason));
        LimitTheWait();
        Publish();
    }

    private void EndEpoch()
    {
        _ready = false;
        _state = Idle;
        _entry = null;
        if (_entryLink is not null)
            Context.Stop(_entryLink);
        _entryLink = null;
        _scheduler.Deactivate();
        if (_pipeline is not null)
            _node.Listener.Tell(new LinkListenerActor.Unregister(new LinkAddress(_id, _pipeline.Epoch, -1)));
    }

    // ---- steps ----

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
