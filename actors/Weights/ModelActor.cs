using System.Net;
using Akka.Actor;
using Akka.Cluster;
using Akka.DistributedData;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Weights;

/// <summary>
/// One on every node: tells the cluster whether this node gives the model's bytes to others, keeps the list of those that do, and
/// answers nodes that ask for the model before they join.
/// </summary>
internal sealed class ModelActor : UntypedActor
{
    /// <summary>Name of the actor below /user, the same on every node.</summary>
    public const string ActorName = "model";

    private static readonly LWWDictionaryKey<string, WeightMessages.WeightSource> SourcesKey = new("weight-sources");

    private readonly NodeContext _node;
    private readonly IPEndPoint? _endpoint;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly MemberList _members = new();
    private Dictionary<string, WeightMessages.WeightSource> _known = [];

    /// <summary>Use <see cref="Props"/>.</summary>
    public ModelActor(NodeContext node, IPEndPoint? endpoint)
    {
        _node = node;
        _endpoint = endpoint;
    }

    /// <summary>How to make one.</summary>
    /// <param name="node">The node's shared parts, whose list of sources it keeps.</param>
    /// <param name="endpoint">Where this node gives the model's bytes; null if it does not have them all.</param>
    public static Props Props(NodeContext node, IPEndPoint? endpoint) => Akka.Actor.Props.Create(() => new ModelActor(node, endpoint));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        IActorRef replicator = DistributedData.Get(Context.System).Replicator;
        if (_endpoint is not null)
        {
            WeightMessages.WeightSource own = new(
                NodeContext.AddressOf(_cluster.SelfAddress), _cluster.SelfUniqueAddress.Uid, _endpoint.Address.ToString(), _endpoint.Port,
                _node.Options.Served is not null);
            _known[own.Node] = own;
            replicator.Tell(Dsl.Update(
                SourcesKey, LWWDictionary<string, WeightMessages.WeightSource>.Empty, WriteLocal.Instance,
                sources => sources.SetItem(_cluster, own.Node, own)));
        }

        replicator.Tell(Dsl.Subscribe(SourcesKey, Self));
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.IMemberEvent));
    }

    /// <inheritdoc/>
    protected override void PostStop() => _cluster.Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Changed changed:
                _known = changed.Get(SourcesKey).Entries.ToDictionary(entry => entry.Key, entry => entry.Value);
                _node.Sources.Set(Present());
                break;
            case ClusterEvent.IMemberEvent changed:
                _members.Take(changed);
                _node.Sources.Set(Present());
                break;
            case WeightMessages.DescribeModel:
                Sender.Tell(new WeightMessages.ModelOffer(_node.Options.Model.Name, _node.Options.Model.Fingerprint, [.. _node.Sources.Present]));
                break;
            case IUpdateResponse:
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    // What nodes that have gone left behind does not count.
    private IEnumerable<WeightMessages.WeightSource> Present() => _members.All
        .Where(member => member.Status is MemberStatus.Up or MemberStatus.Joining or MemberStatus.WeaklyUp)
        .Select(member => _known.GetValueOrDefault(NodeContext.AddressOf(member.Address)) is { } source && source.NodeUid == member.UniqueAddress.Uid ? source : null)
        .OfType<WeightMessages.WeightSource>();
}
