using System.Threading.Channels;
using Akka.Actor;
using Akka.Cluster;
using Akka.Cluster.Tools.PublishSubscribe;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Replicas;

namespace Llama3Cluster.Actors.Gateways;

/// <summary>
/// One on every gateway node: takes requests from the endpoints, sends each to the replica that knows its prefix or has the
/// least to do, and keeps the gateway's picture of the cluster.
/// </summary>
public sealed class GatewayActor : UntypedActor
{
    private readonly ServedModel _model;
    private readonly Func<IActorRef> _generations;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly Dictionary<string, PlacementMessages.ReplicaStatus> _replicas = [];
    private readonly PrefixDirectory _prefixes = new(capacity: 65_536);
    private PlacementMessages.PlacementStatus? _placement;

    /// <summary>Use <see cref="Props"/>.</summary>
    public GatewayActor(ServedModel model, Func<IActorRef> generations)
    {
        _model = model;
        _generations = generations;
    }

    /// <summary>How to make one.</summary>
    /// <param name="model">What is served.</param>
    /// <param name="generations">The shard region of the generations.</param>
    public static Props Props(ServedModel model, Func<IActorRef> generations) =>
        Akka.Actor.Props.Create(() => new GatewayActor(model, generations));

    /// <summary>Start a request and write its events into the channel. Answered with a <see cref="Submitted"/>.</summary>
    public sealed record Submit(GenerationRequest Request, ChannelWriter<GenerationEvent> Events) : INoSerializationVerificationNeeded;

    /// <summary>Go on with an answer and write its events into the channel. Answered with a <see cref="Submitted"/>.</summary>
    public sealed record Resume(string GenerationId, string Owner, ChannelWriter<GenerationEvent> Events) : INoSerializationVerificationNeeded;

    /// <summary>The request's listener: it is told <see cref="Abandon"/> when the client goes away.</summary>
    public sealed record Submitted(IActorRef Listener) : INoSerializationVerificationNeeded;

    /// <summary>The client wants no more.</summary>
    public sealed class Abandon : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly Abandon Instance = new();
    }

    /// <summary>Asks for a <see cref="ClusterSnapshot"/>.</summary>
    public sealed class GetSnapshot : INoSerializationVerificationNeeded
    {
        /// <summary>The message.</summary>
        public static readonly GetSnapshot Instance = new();
    }

    /// <inheritdoc/>
    protected override void PreStart() =>
        DistributedPubSub.Get(Context.System).Mediator.Tell(new Subscribe(ReplicaActor.StatusTopic, Self));

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Submit submit:
                Sender.Tell(new Submitted(Context.ActorOf(Akka.Actor.Props.Create(
                    () => new ListenerActor(submit, _model, _generations())))));
                break;
            case Resume resume:
                Sender.Tell(new Submitted(Context.ActorOf(Akka.Actor.Props.Create(() => new ListenerActor(resume, _model, _generations())))));
                break;
            case ListenerActor.ChooseReplica choose:
                string? replica = ChooseReplica(choose.Prompt);
                Sender.Tell(new ListenerActor.Chosen(replica, replica is null ? WhyUnavailable() : ""));
                break;
            case GetSnapshot:
                Sender.Tell(Snapshot());
                break;
            case PlacementMessages.ReplicaStatus status:
                if (_placement is null || _placement.ReplicaIds.Contains(status.ReplicaId))
                    _replicas[status.ReplicaId] = status;
                break;
            case PlacementMessages.PlacementStatus status:
                _placement = status;
                foreach (string gone in _replicas.Keys.Except(status.ReplicaIds).ToList())
                    _replicas.Remove(gone);
                break;
            case SubscribeAck:
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    // The longest known prefix wins, unless its replica has clearly more to do than the idlest one.
    private string? ChooseReplica(IReadOnlyList<int> prompt)
    {
        PlacementMessages.ReplicaStatus? idlest = _replicas.Values
            .Where(replica => replica.State != "idle")
            .OrderByDescending(replica => replica.Ready).ThenBy(Load).ThenBy(replica => replica.ReplicaId, StringComparer.Ordinal)
            .FirstOrDefault();
        if (idlest is null)
            return null;
        string chosen = idlest.ReplicaId;
        if (_prefixes.Find(prompt) is { } known && _replicas.TryGetValue(known.Replica, out var warm) && warm.Ready
            && Load(warm) <= Load(idlest) + 4)
        {
            chosen = known.Replica;
        }

        _prefixes.Note(prompt, chosen);
        return chosen;
    }

    private static int Load(PlacementMessages.ReplicaStatus replica) => replica.Running + (2 * replica.Waiting);

    private string WhyUnavailable()
    {
        string reason = _replicas.Values.Select(replica => replica.Problem).FirstOrDefault(problem => problem.Length > 0)
            ?? _placement?.Reasons.FirstOrDefault() ?? "no stage node has joined yet";
        return $"No pipeline can serve the request: {reason}";
    }

    private ClusterSnapshot Snapshot()
    {
        ClusterEvent.CurrentClusterState state = _cluster.State;
        List<NodeSnapshot> nodes = [];
        foreach (Member member in state.Members)
        {
            string address = Hosting.NodeContext.AddressOf(member.Address);
            PlacementMessages.NodeStatus? offered = _placement?.Nodes.FirstOrDefault(
                node => node.Offer.Node == address && node.Offer.NodeUid == member.UniqueAddress.Uid);
            nodes.Add(new NodeSnapshot(
                address, [.. member.Roles.Order(StringComparer.Ordinal)],
                state.Unreachable.Contains(member) ? "unreachable" : member.Status.ToString().ToLowerInvariant(),
                [.. (offered?.Offer.Devices ?? []).Select(device => new DeviceSnapshot(device.Index, device.Name, device.MemoryBytes))],
                string.IsNullOrEmpty(offered?.Problem) ? null : offered.Problem,
                offered?.Offer.Weights is { } weights ? new WeightsSnapshot(weights.HeldBytes, weights.ReceivedBytes, weights.ModelBytes) : null)
            {
                RowsComputed = offered?.RowsComputed ?? 0,
                RowsReused = offered?.RowsReused ?? 0,
            });
        }

        List<ReplicaSnapshot> replicas = [.. _replicas.Values.OrderBy(replica => replica.ReplicaId, StringComparer.Ordinal).Select(Describe)];
        return new ClusterSnapshot(
            _model.Name, _replicas.Values.Any(replica => replica.Ready), nodes, replicas, _placement?.Reasons ?? ["placement has not reported yet"])
        {
            StaleFrames = _replicas.Values.Sum(replica => replica.StaleFrames) + (_placement?.Nodes.Sum(node => node.StaleFrames) ?? 0),
        };
    }

    private static ReplicaSnapshot Describe(PlacementMessages.ReplicaStatus replica) => new(
        replica.ReplicaId, replica.Epoch, replica.State,
        [.. replica.Stages.Select(stage => new StageSnapshot(
            stage.Assignment.Node, stage.Assignment.DeviceName, stage.Assignment.Slice.First, stage.Assignment.Slice.Last,
            stage.Assignment.Slice.HasEmbedding, stage.Assignment.Slice.HasHead, stage.State, stage.LoadedFraction))],
        replica.KvBlocks, replica.KvBlocksUsed, replica.Running, replica.Waiting, replica.TokensPerSecond, replica.GeneratedTokens)
    {
        RowsReplayed = replica.RowsReplayed,
    };
}
