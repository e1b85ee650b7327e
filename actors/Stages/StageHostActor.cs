using Akka.Actor;
using Akka.Cluster;
using Akka.DistributedData;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// One on every node with devices: offers them to the cluster, and starts, hands on and retires the stages that replicas ask
/// for. What it decides is in <see cref="HostedStages{TStage}"/>.
/// </summary>
public sealed class StageHostActor : UntypedActor, IStageOwner<IActorRef>, IWithTimers
{
    /// <summary>Name of the actor below /user, the same on every node.</summary>
    public const string ActorName = "stage-host";

    /// <summary>Where the offers of all nodes are kept in the cluster's replicated data, by cluster address.</summary>
    public static readonly LWWDictionaryKey<string, PlacementMessages.NodeOffer> OffersKey = new("stage-nodes");

    // Rows of a step whose way to other nodes is measured: some sequences that decode together.
    private const int MeasuredRows = 8;

    private static readonly TimeSpan LeaveRepeat = TimeSpan.FromSeconds(1);

    private readonly NodeContext _node;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log;
    private readonly HostedStages<IActorRef> _stages;
    private readonly Dictionary<IActorRef, CancellationTokenSource> _retired = [];
    private readonly string _address;
    private StageMessages.PathReport[] _paths = [];
    private IActorRef? _placement;
    private IActorRef? _leaver; // who waits until this node holds nothing

    /// <summary>Use <see cref="Props"/>.</summary>
    public StageHostActor(NodeContext node)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<StageHostActor>();
        _address = NodeContext.AddressOf(_cluster.SelfAddress);
        _stages = new HostedStages<IActorRef>(this, index => DeviceOf(index)?.MemoryBytes, BytesOf);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    public static Props Props(NodeContext node) => Akka.Actor.Props.Create(() => new StageHostActor(node));

    /// <summary>The host on a node, from within an actor.</summary>
    /// <param name="node">The node's cluster address, host:port.</param>
    public static ActorSelection On(string node) =>
        Context.ActorSelection($"{Cluster.Get(Context.System).SelfAddress.Protocol}://{Context.System.Name}@{node}/user/{ActorName}");

    /// <summary>Asks for the local actor of a stage; answered with a <see cref="LocalStage"/>.</summary>
    public sealed record FindStage(string ReplicaId, long Epoch, int Stage) : INoSerializationVerificationNeeded;

    /// <summary>The local actor of a stage; null when this host has no such stage.</summary>
    public sealed record LocalStage(long Epoch, IActorRef? Actor) : INoSerializationVerificationNeeded;

    /// <summary>This node is to end: asks placement to move its slices; answered with <see cref="Drained"/> when it holds none.</summary>
    public sealed class Drain : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly Drain Instance = new();
    }

    /// <summary>The node holds nothing any more.</summary>
    public sealed class Drained : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly Drained Instance = new();
    }

    /// <summary>From a stage: this node has more of the model than before.</summary>
    public sealed class WeightsFetched : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly WeightsFetched Instance = new();
    }

    /// <inheritdoc/>
    protected override void PreStart()
    {
        Offer();
        Context.ActorOf(PathMeterActor.Props(MeasuredRows * sizeof(ushort) * _node.Options.Model.Config.HiddenSize), "path-meter");
    }

    private void Offer()
    {
        PlacementMessages.NodeOffer offer = new(
            _address, _cluster.SelfUniqueAddress.Uid, _node.DataEndpoint.Address.ToString(),
            _node.DataEndpoint.Port, ProtocolVersion.Oldest, ProtocolVersion.Current, _node.Options.Model.Fingerprint,
            [.. _node.Options.Devices.Select(d => new PlacementMessages.DeviceOffer(d.Index, d.Device.Name, d.MemoryBytes, d.BytesPerSecond, d.Device.Kind))],
            _node.Options.Partial is { } partial ? new PlacementMessages.WeightsReport(partial.HeldBytes, partial.ReceivedBytes, partial.ModelBytes) : null);
        DistributedData.Get(Context.System).Replicator.Tell(Dsl.Update(
            OffersKey, LWWDictionary<string, PlacementMessages.NodeOffer>.Empty, WriteLocal.Instance,
            offers => offers.SetItem(_cluster, offer.Node, offer)));
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case StageMessages.ProbeHost probe:
                _placement = Sender;
                Sender.Tell(new StageMessages.HostAlive(
                    _address, probe.Number, _stages.Refused + StageActor.StaleFrames, StageActor.RowsComputed, StageActor.RowsReused, _paths));
                break;
            case PathMeterActor.Measured measured:
                _paths = measured.Paths;
                break;
            case StageMessages.PrepareStage prepare:
                _stages.Prepare(prepare);
                break;
            case StageMessages.ConnectStage connect:
                _stages.Connect(connect, connect.NextNode == _address);
                break;
            case StageMessages.RetireStages retire:
                _stages.Retire(retire);
                break;
            case FindStage find:
                Sender.Tell(new LocalStage(find.Epoch, _stages.Find(find.ReplicaId, find.Epoch, find.Stage)));
                break;
            case Terminated terminated:
                if (_retired.Remove(terminated.ActorRef, out CancellationTokenSource? retired))
                    retired.Dispose();
                _stages.Stopped(terminated.ActorRef);
                ReportDrained();
                break;
            case Drain:
                _leaver = Sender;
                Leave();
                break;
            case LeaveAgain:
                Leave();
                break;
            case WeightsFetched:
                Offer();
                break;
            case PlacementMessages.NodeRefused refused:
                _log.LogError("this node takes no part in the cluster: {Reason}", refused.Reason);
                break;
            case IUpdateResponse:
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    /// <inheritdoc/>
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(error =>
    {
        _log.LogError(error, "a stage failed");
        return Directive.Stop;
    });

    IActorRef IStageOwner<IActorRef>.Start(StageMessages.PrepareStage assignment)
    {
        var retired = new CancellationTokenSource();
        IActorRef actor = Context.Watch(Context.ActorOf(
            StageActor.Props(_node, DeviceOf(assignment.DeviceIndex)!, assignment, retired.Token),
            $"{assignment.ReplicaId}-{assignment.Epoch}-{assignment.Stage}"));
        _retired[actor] = retired;
        return actor;
    }

    void IStageOwner<IActorRef>.Advance(IActorRef stage, StageMessages.PrepareStage assignment) =>
        stage.Tell(new StageActor.StandBy(assignment));

    void IStageOwner<IActorRef>.Stop(IActorRef stage)
    {
        _retired[stage].Cancel(); // ends a load early
        Context.Stop(stage);
    }

    void IStageOwner<IActorRef>.Connect(IActorRef stage, StageMessages.ConnectStage connect, IActorRef? next)
    {
        if (connect.NextStage < 0 && connect.NextNode == _address)
            next = _stages.ReplicaOf(stage);
        stage.Tell(new StageActor.Connect(connect.Epoch, next, connect));
    }

    void IStageOwner<IActorRef>.Answer(StageMessages.PrepareStage assignment, IReplicaMessage message) => assignment.Replica.Tell(message);

    private StageDevice? DeviceOf(int index) => _node.Options.Devices.FirstOrDefault(device => device.Index == index);

    private long BytesOf(StageMessages.PrepareStage assignment)
    {
        StageMessages.ReplicaLimits limits = assignment.Limits;
        SliceOptions largest = SliceOptions.ForServing(limits.MaxRows, limits.MaxSequences, limits.ContextLength, limits.KvBlocks, limits.KvFormat);
        ModelProfile profile = ModelProfile.From(_node.Options.Model, limits.KvFormat, largest: largest);
        return profile.On(DeviceOf(assignment.DeviceIndex)!.Device.Kind).BytesOf(assignment.Slice, limits.KvBlocks);
    }

    private void Leave()
    {
        _placement?.Tell(new PlacementMessages.NodeLeaving(_address));
        Timers.StartSingleTimer("leave", LeaveAgain.Instance, LeaveRepeat);
        ReportDrained();
    }

    private void ReportDrained()
    {
        if (_leaver is null || _stages.Count > 0)
            return;
        _leaver.Tell(Drained.Instance);
        Timers.Cancel("leave");
    }

    private sealed class LeaveAgain
    {
        public static readonly LeaveAgain Instance = new();
    }
}
