using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Tools.PublishSubscribe;
using Akka.DistributedData;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Replicas;
using Llama3Cluster.Actors.Stages;
using Llama3Cluster.Shards.Planning;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// Cluster singleton on the gateways: sees which nodes offer what, lets the planner cut the model, and tells the replicas. It
/// plans anew when a node joins, leaves or is lost, and when a replica says that its epoch broke.
/// </summary>
public sealed class PlacementActor : UntypedActor, IWithTimers
{
    /// <summary>Name of the singleton.</summary>
    public const string SingletonName = "placement";

    // Nodes that start together are planned together.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan AfterBreak = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestAfterBreak = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan SuspectFor = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Repeat = TimeSpan.FromSeconds(2);

    private readonly NodeContext _node;
    private readonly ReplicaSettings _settings;
    private readonly Func<IActorRef> _replicaRegion;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log;
    private readonly IActorRef _mediator = DistributedPubSub.Get(Context.System).Mediator;
    private readonly Dictionary<string, DateTime> _suspects = []; // node -> until when
    private readonly Dictionary<string, PlacementMessages.AssignPlan> _plans = []; // by replica
    private readonly HashSet<string> _broken = []; // replicas that need a new epoch
    private readonly HashSet<(string Node, long Uid)> _refused = [];
    private TimeSpan _afterBreak = AfterBreak;
    private DateTime _lastBreak = DateTime.MinValue;
    private Dictionary<string, PlacementMessages.NodeOffer> _offers = [];
    private IReadOnlyList<string> _reasons = ["waiting for stage nodes"];
    private long _lastEpoch;
    private bool _heard;

    /// <summary>Use <see cref="Props"/>.</summary>
    public PlacementActor(NodeContext node, Func<IActorRef> replicaRegion)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<PlacementActor>();
        _replicaRegion = replicaRegion;
        _settings = node.Options.Replicas ?? throw new ArgumentException("placement lives on gateways only", nameof(node));
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts.</param>
    /// <param name="replicaRegion">The shard region of the replicas.</param>
    public static Props Props(NodeContext node, Func<IActorRef> replicaRegion) =>
        Akka.Actor.Props.Create(() => new PlacementActor(node, replicaRegion));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.IReachabilityEvent));
        IActorRef replicator = DistributedData.Get(Context.System).Replicator;
        replicator.Tell(Dsl.Subscribe(StageHostActor.OffersKey, Self));
        replicator.Tell(Dsl.Get(StageHostActor.OffersKey, ReadLocal.Instance));
        Timers.StartPeriodicTimer("repeat", RepeatPlans.Instance, Repeat);
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
                Hear(answer.IsSuccessful ? answer.Get(StageHostActor.OffersKey) : LWWDictionary<string, PlacementMessages.NodeOffer>.Empty);
                break;
            case ClusterEvent.IMemberEvent or ClusterEvent.IReachabilityEvent:
                PlanSoon(Settle);
                break;
            case PlacementMessages.ReplicaBroken broken when broken.Epoch == _plans.GetValueOrDefault(broken.ReplicaId)?.Epoch:
                _broken.Add(broken.ReplicaId);
                if (broken.Node is not null)
                    _suspects[broken.Node] = DateTime.UtcNow + SuspectFor;
                PlanSoon(DelayAfterBreak());
                break;
            case PlacementMessages.ReplicaBroken:
                break; // an epoch that placement knows to be over
            case MakePlan:
                Plan();
                break;
            case RepeatPlans:
                // A replica that moved to another gateway starts without a plan.
                foreach (PlacementMessages.AssignPlan plan in _plans.Values)
                    _replicaRegion().Tell(plan);
                if (_suspects.Count > 0)
                    PlanSoon(Settle);
                Publish();
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Hear(LWWDictionary<string, PlacementMessages.NodeOffer> offers)
    {
        _offers = offers.Entries.ToDictionary(entry => entry.Key, entry => entry.Value);
        _heard = true;
        PlanSoon(Settle);
    }

    // Not before the offers were heard: placement may just have moved to this gateway, and would take the pipelines apart.
    private void PlanSoon(TimeSpan delay)
    {
        if (_heard && !Timers.IsTimerActive("plan"))
            Timers.StartSingleTimer("plan", MakePlan.Instance, delay);
    }

    // The first break is mended at once; what breaks again and again, such as a slice that never loads, is tried ever less often.
    private TimeSpan DelayAfterBreak()
    {
        DateTime now = DateTime.UtcNow;
        bool again = now - _lastBreak < LongestAfterBreak + _afterBreak;
        _lastBreak = now;
        _afterBreak = again ? TimeSpan.FromTicks(Math.Min(2 * _afterBreak.Ticks, LongestAfterBreak.Ticks)) : AfterBreak;
        return _afterBreak;
    }

    private void Plan()
    {
        foreach (string node in _suspects.Where(suspect => suspect.Value < DateTime.UtcNow).Select(suspect => suspect.Key).ToList())
            _suspects.Remove(node);
        List<PlacementMessages.NodeOffer> usable = [.. Present().Where(offer => Problem(offer).Length == 0)];
        if (usable.Count == 0)
        {
            Apply(new ClusterPlan([], [_offers.Count == 0 ? "no stage node has joined yet" : "no stage node can be used; each one's problem is in its entry"]), usable);
            return;
        }

        ModelProfile profile = ModelProfile.From(_node.Options.Model, _settings.KvFormat);
        List<PlannerDevice> devices = [.. usable.SelectMany(offer => offer.Devices.Select(device =>
            new PlannerDevice(offer.Node, device.Index, device.Name, device.MemoryBytes, device.BytesPerSecond)))];
        int most = _settings.KvTokens ?? Math.Max(_settings.ContextLength, (int)Math.Min((long)_settings.MaxSequences * _settings.ContextLength, int.MaxValue / 2));
        int? stages = _settings.Replicas is { } replicas
            ? Math.Clamp(devices.Count / replicas, 1, profile.LayerBytes.Count + 2)
            : null;
        Apply(SlicePlanner.Plan(profile, devices, new PlannerOptions(Math.Min(_settings.ContextLength, most), most, stages, _settings.Replicas)), usable);
    }

    private IEnumerable<PlacementMessages.NodeOffer> Present()
    {
        ClusterEvent.CurrentClusterState state = _cluster.State;
        foreach (Member member in state.Members.Where(member => member.Status == MemberStatus.Up && !state.Unreachable.Contains(member)))
        {
            if (_offers.TryGetValue(NodeContext.AddressOf(member.Address), out var offer) && offer.NodeUid == member.UniqueAddress.Uid)
                yield return offer;
        }
    }

    private string Problem(PlacementMessages.NodeOffer offer)
    {
        string own = _node.Options.Model.Fingerprint;
        if (offer.ProtocolVersion != ProtocolVersion.Current)
            return $"it speaks link protocol {offer.ProtocolVersion}, this cluster {ProtocolVersion.Current}; run the same release";
        if (offer.Fingerprint != own)
            return $"its model's fingerprint is {offer.Fingerprint[..Math.Min(12, offer.Fingerprint.Length)]}…, the cluster serves {own[..12]}…; start it with the same model file";
        return _suspects.ContainsKey(offer.Node) ? "it did not answer a replica; it is tried again in a few seconds" : "";
    }

    private void Apply(ClusterPlan plan, List<PlacementMessages.NodeOffer> usable)
    {
        _reasons = plan.Reasons;
        string[] ids = [.. Enumerable.Range(1, Math.Max(plan.Replicas.Count, 1)).Select(number => $"replica-{number}")];
        for (int i = 0; i < ids.Length; i++)
            Assign(ids[i], i < plan.Replicas.Count ? plan.Replicas[i] : null, usable);
        foreach (string surplus in _plans.Keys.Except(ids).ToList())
        {
            Retire(_plans[surplus]);
            _replicaRegion().Tell(_plans[surplus] with { Epoch = NextEpoch(), Stages = [], Reason = "the replica is not planned any more" });
            _plans.Remove(surplus);
        }

        foreach (PlacementMessages.NodeOffer offer in Present())
        {
            if (Problem(offer) is { Length: > 0 } problem && !_suspects.ContainsKey(offer.Node) && _refused.Add((offer.Node, offer.NodeUid)))
            {
                _log.LogWarning("node {Node} takes no part: {Reason}", offer.Node, problem);
                StageHostActor.On(offer.Node).Tell(new PlacementMessages.NodeRefused(problem));
            }
        }

        Publish();
    }


    private void Assign(string id, PlannedReplica? replica, List<PlacementMessages.NodeOffer> usable)
    {
        PlacementMessages.StageAssignment[] stages = [.. (replica?.Stages ?? []).Select(stage =>
        {
            PlacementMessages.NodeOffer offer = usable.First(node => node.Node == stage.Node);
            string device = offer.Devices.First(d => d.Index == stage.DeviceIndex).Name;
            return new PlacementMessages.StageAssignment(stage.Node, offer.DataHost, offer.DataPort, stage.DeviceIndex, device, stage.Slice);
        })];
        var limits = new StageMessages.ReplicaLimits(
            _settings.MaxRows, _settings.MaxSequences, _settings.ContextLength, replica?.KvBlocks ?? 0, _settings.KvFormat, _settings.Activations);

        PlacementMessages.AssignPlan? present = _plans.GetValueOrDefault(id);
        if (present is not null && !_broken.Contains(id) && present.Stages.SequenceEqual(stages) && present.Limits == limits)
            return;
        if (present is not null)
            Retire(present, stages);
        var plan = new PlacementMessages.AssignPlan(id, NextEpoch(), stages, limits, stages.Length == 0 ? _reasons[0] : "");
        _plans[id] = plan;
        _broken.Remove(id);
        if (stages.Length == 0)
            _log.LogInformation("{Replica} has no pipeline: {Reason}", id, plan.Reason);
        _replicaRegion().Tell(plan);
    }

    // Larger than any epoch that an earlier singleton can have given out, whichever gateway it was on.
    private long NextEpoch() => _lastEpoch = Math.Max(_lastEpoch + 1, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());

    // Nodes that take part no more free their slices; on the others the host sees by itself what changes.
    private static void Retire(PlacementMessages.AssignPlan plan, PlacementMessages.StageAssignment[]? kept = null)
    {
        foreach (string node in plan.Stages.Select(stage => stage.Node).Distinct().Except((kept ?? []).Select(stage => stage.Node)))
            StageHostActor.On(node).Tell(new StageMessages.RetireStages(plan.ReplicaId, plan.Epoch));
    }

    private void Publish() => _mediator.Tell(new Publish(ReplicaActor.StatusTopic, new PlacementMessages.PlacementStatus(
        [.. Present().Select(offer => new PlacementMessages.NodeStatus(offer, Problem(offer)))], [.. _plans.Keys], [.. _reasons])));

    private sealed class MakePlan
    {
        public static readonly MakePlan Instance = new();
    }

    private sealed class RepeatPlans
    {
        public static readonly RepeatPlans Instance = new();
    }
}
