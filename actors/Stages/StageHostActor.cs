using Akka.Actor;
using Akka.Cluster;
using Akka.DistributedData;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// One on every node with devices: offers them to the cluster, and starts, hands on and retires the stages that replicas ask
/// for. A device has one stage at a time.
/// </summary>
public sealed class StageHostActor : UntypedActor
{
    /// <summary>Name of the actor below /user, the same on every node.</summary>
    public const string ActorName = "stage-host";

    /// <summary>Where the offers of all nodes are kept in the cluster's replicated data, by cluster address.</summary>
    public static readonly LWWDictionaryKey<string, PlacementMessages.NodeOffer> OffersKey = new("stage-nodes");

    private readonly NodeContext _node;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log;
    private readonly Dictionary<int, HostedStage> _stages = []; // by device
    private readonly Dictionary<int, StageMessages.PrepareStage> _pending = []; // by device: the stage before it is stopping

    /// <summary>Use <see cref="Props"/>.</summary>
    public StageHostActor(NodeContext node)
    {
        _node = node;
        _log = node.Loggers.CreateLogger<StageHostActor>();
    }

    /// <summary>How to make one.</summary>
    public static Props Props(NodeContext node) => Akka.Actor.Props.Create(() => new StageHostActor(node));

    /// <summary>The host on a node, from within an actor.</summary>
    /// <param name="node">The node's cluster address, host:port.</param>
    public static ActorSelection On(string node) =>
        Context.ActorSelection($"{Cluster.Get(Context.System).SelfAddress.Protocol}://{Context.System.Name}@{node}/user/{ActorName}");

    /// <summary>Asks for the local actor of a stage; answered with a <see cref="LocalStage"/>.</summary>
    public sealed record FindStage(string ReplicaId, long Epoch, int Stage) : INoSerializationVerificationNeeded;

    /// <summary>The local actor of a stage; null when this host has no such stage.</summary>
    public sealed record LocalStage(IActorRef? Actor) : INoSerializationVerificationNeeded;

    /// <summary>From a stage: this node has more of the model than before.</summary>
    public sealed class WeightsFetched : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly WeightsFetched Instance = new();
    }

    /// <inheritdoc/>
    protected override void PreStart() => Offer();

    private void Offer()
    {
        PlacementMessages.NodeOffer offer = new(
            NodeContext.AddressOf(_cluster.SelfAddress), _cluster.SelfUniqueAddress.Uid, _node.DataEndpoint.Address.ToString(),
            _node.DataEndpoint.Port, ProtocolVersion.Current, _node.Options.Model.Fingerprint,
            [.. _node.Options.Devices.Select(d => new PlacementMessages.DeviceOffer(d.Index, d.Device.Name, d.MemoryBytes, d.BytesPerSecond))],
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
            case StageMessages.PrepareStage prepare:
                Prepare(prepare);
                break;
            case StageMessages.ConnectStage connect:
                Connect(connect);
                break;
            case StageMessages.RetireStages retire:
                foreach (HostedStage stage in _stages.Values.Where(s => s.Assignment.ReplicaId == retire.ReplicaId && s.Assignment.Epoch <= retire.Epoch).ToList())
                    Stop(stage);
                break;
            case FindStage find:
                Sender.Tell(new LocalStage(Find(find.ReplicaId, find.Epoch, find.Stage)?.Actor));
                break;
            case Terminated terminated:
                Stopped(terminated.ActorRef);
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

    private void Prepare(StageMessages.PrepareStage prepare)
    {
        StageDevice? device = _node.Options.Devices.FirstOrDefault(d => d.Index == prepare.DeviceIndex);
        if (device is null)
        {
            prepare.Replica.Tell(new StageMessages.StageFailed(prepare.ReplicaId, prepare.Epoch, prepare.Stage,
                $"node {NodeContext.AddressOf(_cluster.SelfAddress)} has no device {prepare.DeviceIndex}, only {_node.Options.Devices.Count} devices"));
            return;
        }

        if (_pending.TryGetValue(device.Index, out StageMessages.PrepareStage? pending))
        {
            if (prepare.Epoch > pending.Epoch)
                _pending[device.Index] = prepare;
            return;
        }

        if (!_stages.TryGetValue(device.Index, out HostedStage? present))
            Start(device, prepare);
        else if (prepare.Epoch <= present.Assignment.Epoch)
            _log.LogDebug("epoch {Epoch} of replica {Replica} is not newer than {Present}", prepare.Epoch, prepare.ReplicaId, present.Assignment.Epoch);
        else if (SameSlice(present.Assignment, prepare))
            Advance(present, prepare);
        else
        {
            _pending[device.Index] = prepare;
            Stop(present);
        }
    }

    private static bool SameSlice(StageMessages.PrepareStage a, StageMessages.PrepareStage b) =>
        (a.ReplicaId, a.Slice, a.Limits) == (b.ReplicaId, b.Slice, b.Limits);

    private void Start(StageDevice device, StageMessages.PrepareStage prepare)
    {
        var retired = new CancellationTokenSource();
        IActorRef actor = Context.Watch(Context.ActorOf(
            StageActor.Props(_node, device, prepare, retired.Token), $"{prepare.ReplicaId}-{prepare.Epoch}-{prepare.Stage}"));
        _stages[device.Index] = new HostedStage(device, actor, retired) { Assignment = prepare };
    }

    private static void Advance(HostedStage stage, StageMessages.PrepareStage prepare)
    {
        stage.Assignment = prepare;
        stage.Actor.Tell(new StageActor.BeginEpoch(prepare));
    }

    private void Connect(StageMessages.ConnectStage connect)
    {
        if (Find(connect.ReplicaId, connect.Epoch, connect.Stage) is not { } stage)
            return; // an epoch that is over
        IActorRef? local = null;
        if (connect.NextNode == NodeContext.AddressOf(_cluster.SelfAddress))
        {
            local = connect.NextStage < 0
                ? stage.Assignment.Replica
                : Find(connect.ReplicaId, connect.Epoch, connect.NextStage)?.Actor;
        }

        stage.Actor.Tell(new StageActor.Connect(connect.Epoch, local, connect));
    }

    private HostedStage? Find(string replica, long epoch, int stage) => _stages.Values.FirstOrDefault(
        s => s.Assignment.ReplicaId == replica && s.Assignment.Epoch == epoch && s.Assignment.Stage == stage);

    private static void Stop(HostedStage stage)
    {
        stage.Retired.Cancel();
        Context.Stop(stage.Actor);
    }

    private void Stopped(IActorRef actor)
    {
        HostedStage? stage = _stages.Values.FirstOrDefault(s => s.Actor.Equals(actor));
        if (stage is null)
            return;
        int device = stage.Device.Index;
        _stages.Remove(device);
        stage.Retired.Dispose();
        if (_pending.Remove(device, out StageMessages.PrepareStage? next))
        {
            Start(stage.Device, next);
            return;
        }

        if (!stage.Retired.IsCancellationRequested)
        {
            StageMessages.PrepareStage lost = stage.Assignment;
            lost.Replica.Tell(new StageMessages.StageFailed(lost.ReplicaId, lost.Epoch, lost.Stage, "the stage stopped unexpectedly; its node's log says why"));
        }
    }

    private sealed class HostedStage(StageDevice device, IActorRef actor, CancellationTokenSource retired)
    {
        public StageDevice Device { get; } = device;

        public IActorRef Actor { get; } = actor;

        public CancellationTokenSource Retired { get; } = retired;

        public required StageMessages.PrepareStage Assignment { get; set; }
    }
}
