using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Tools.PublishSubscribe;
using Akka.DistributedData;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Replicas;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// Cluster singleton on the gateways: sees which nodes offer what, and tells the replicas what to build. What it decides is in
/// <see cref="PlacementState"/>; this connects that with the cluster.
/// </summary>
public sealed class PlacementActor : UntypedActor, IWithTimers, IPlacementOutput
{
    /// <summary>Name of the singleton.</summary>
    public const string SingletonName = "placement";

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Repeat = TimeSpan.FromSeconds(2);

    private readonly NodeContext _node;
    private readonly Func<IActorRef> _replicaRegion;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log;
    private readonly IActorRef _mediator = DistributedPubSub.Get(Context.System).Mediator;
    private readonly PlacementState _state;
    private readonly MemberList _members = new();
    private readonly HashSet<string> _knocking = [];
    private Dictionary<string, PlacementMessages.NodeOffer> _offers = [];

    /// <summary>Use <see cref="Props"/>.</summary>
    public PlacementActor(NodeContext node, Func<IActorRef> replicaRegion)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<PlacementActor>();
        _replicaRegion = replicaRegion;
        ReplicaSettings settings = node.Options.Replicas ?? throw new ArgumentException("placement lives on gateways only", nameof(node));
        _state = new PlacementState(
            new PlanBuilder(ModelProfile.From(node.Options.Model, settings.KvFormat, settings.Activations, Largest(settings)), settings), Problem, this,
            () => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    private static TimeSpan Now => TimeSpan.FromMilliseconds(Environment.TickCount64);

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts.</param>
    /// <param name="replicaRegion">The shard region of the replicas.</param>
    public static Props Props(NodeContext node, Func<IActorRef> replicaRegion) =>
        Akka.Actor.Props.Create(() => new PlacementActor(node, replicaRegion));

    private static SliceOptions Largest(ReplicaSettings settings) =>
        SliceOptions.ForServing(settings.MaxRows, settings.MaxSequences, settings.ContextLength, kvBlocks: 0, settings.KvFormat);

    /// <inheritdoc/>
    protected override void PreStart()
    {
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.IMemberEvent));
        IActorRef replicator = DistributedData.Get(Context.System).Replicator;
        replicator.Tell(Dsl.Subscribe(StageHostActor.OffersKey, Self));
        replicator.Tell(Dsl.Get(StageHostActor.OffersKey, ReadLocal.Instance));
        Timers.StartPeriodicTimer("tick", Tick.Instance, TickInterval);
        Timers.StartPeriodicTimer("repeat", RepeatPlans.Instance, TimeSpan.Zero, Repeat);
    }

    /// <inheritdoc/>
    protected override void PostStop() => _cluster.Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Changed changed:
                Hear(changed.Get(StageHostActor.OffersKey));
                break;
            case IGetResponse answer:
                if (answer.IsSuccessful)
                    Hear(answer.Get(StageHostActor.OffersKey));
                break;
            case ClusterEvent.IMemberEvent changed:
                _members.Take(changed);
                _state.SetNodes(Present(), Now);
                break;
            case StageMessages.HostAlive alive:
                _state.Answered(alive, Now);
                break;
            case PlacementMessages.NodeLeaving leaving:
                _state.Leaving(leaving.Node, Now);
                break;
            case PlacementMessages.ReplicaBroken broken:
                _log.LogWarning("{Replica}, epoch {Epoch} is over: {Reason}", broken.ReplicaId, broken.Epoch, broken.Reason);
                _state.Broken(broken, Now);
                break;
            case PlacementMessages.ReplicaStarted started:
                _state.Started(started.ReplicaId, Now);
                break;
            case PlacementMessages.ReplicaActive active:
                _state.Active(active);
                break;
            case Knocked knocked:
                _knocking.Remove(knocked.Node);
                if (knocked.IsGone)
                    TakeDown(knocked.Node);
                break;
            case RepeatPlans:
                // A replica that moved to another gateway starts without a plan.
                foreach (PlacementMessages.AssignPlan plan in _state.Plans.Values)
                    _replicaRegion().Tell(plan with { IsRepeated = true });
                Publish();
                break;
            case Tick:
                break;
            default:
                Unhandled(message);
                break;
        }

        _state.Tick(Now);
    }

    void IPlacementOutput.Probe(string node, long number) => StageHostActor.On(node).Tell(new StageMessages.ProbeHost(number));

    void IPlacementOutput.Knock(string node)
    {
        if (_knocking.Add(node))
            Placement.Knock.IsGoneAsync(node).PipeTo(Self, success: gone => new Knocked(node, gone), failure: _ => new Knocked(node, false));
    }

    void IPlacementOutput.Assign(PlacementMessages.AssignPlan plan)
    {
        _replicaRegion().Tell(plan);
        Publish();
    }

    void IPlacementOutput.ToHost(string node, Protocol.IClusterMessage message) => StageHostActor.On(node).Tell(message);

    void IPlacementOutput.Explain(string text) => _log.LogInformation("{Decision}", text);

    private void Hear(LWWDictionary<string, PlacementMessages.NodeOffer> offers)
    {
        _offers = offers.Entries.ToDictionary(entry => entry.Key, entry => entry.Value);
        _state.SetNodes(Present(), Now);
    }

    private void TakeDown(string node)
    {
        _state.Gone(node, Now);
        foreach (Member member in _members.All.Where(member => NodeContext.AddressOf(member.Address) == node && member.Status != MemberStatus.Down))
            _cluster.Down(member.Address);
    }

    // Who is unreachable does not matter: a node that stood still calls everybody else that. Probes tell who answers.
    private IEnumerable<PlacementMessages.NodeOffer> Present()
    {
        foreach (Member member in _members.All.Where(member => member.Status is MemberStatus.Up or MemberStatus.Leaving))
        {
            if (_offers.TryGetValue(NodeContext.AddressOf(member.Address), out var offer) && offer.NodeUid == member.UniqueAddress.Uid)
                yield return offer;
        }
    }

    private string Problem(PlacementMessages.NodeOffer offer)
    {
        string own = _node.Options.Model.Fingerprint;
        if (ProtocolVersion.Agree(offer.OldestVersion, offer.NewestVersion) is null)
            return $"it speaks link protocol versions {offer.OldestVersion} to {offer.NewestVersion}, the cluster {ProtocolVersion.Oldest} to {ProtocolVersion.Current}; run releases that share a version";
        return offer.Fingerprint == own ? "" : $"its model's fingerprint is {offer.Fingerprint[..Math.Min(12, offer.Fingerprint.Length)]}…, the cluster serves {own[..12]}…; start it with the same model file";
    }

    private void Publish() => _mediator.Tell(new Publish(ReplicaActor.StatusTopic, new PlacementMessages.PlacementStatus(
        [.. _state.Nodes], [.. _state.Plans.Keys], [.. _state.Reasons])));

    private sealed record Knocked(string Node, bool IsGone);

    private sealed class Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed class RepeatPlans
    {
        public static readonly RepeatPlans Instance = new();
    }
}
