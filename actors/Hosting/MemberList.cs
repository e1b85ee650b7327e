using Akka.Cluster;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>
/// The cluster's members, as an actor that has subscribed to their events knows them. <see cref="Cluster.State"/> is kept by another
/// actor, which may not have seen an event that this one is handling: what is read from it then is lost until the next event.
/// </summary>
internal sealed class MemberList
{
    private readonly Dictionary<UniqueAddress, Member> _members = [];
    private readonly HashSet<UniqueAddress> _unreachable = [];

    /// <summary>What to subscribe to.</summary>
    public static readonly Type[] Events = [typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.IReachabilityEvent)];

    /// <summary>The members.</summary>
    public IEnumerable<Member> All => _members.Values;

    /// <summary>Whether any node calls the member unreachable.</summary>
    public bool IsUnreachable(Member member) => _unreachable.Contains(member.UniqueAddress);

    /// <summary>Takes an event.</summary>
    public void Take(ClusterEvent.IClusterDomainEvent message)
    {
        switch (message)
        {
            case ClusterEvent.MemberRemoved removed:
                _members.Remove(removed.Member.UniqueAddress);
                _unreachable.Remove(removed.Member.UniqueAddress);
                break;
            case ClusterEvent.IMemberEvent changed:
                _members[changed.Member.UniqueAddress] = changed.Member;
                break;
            case ClusterEvent.UnreachableMember lost:
                _unreachable.Add(lost.Member.UniqueAddress);
                break;
            case ClusterEvent.ReachableMember back:
                _unreachable.Remove(back.Member.UniqueAddress);
                break;
        }
    }
}
