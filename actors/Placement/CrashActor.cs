using Akka.Actor;
using Akka.Cluster;
using Akka.Remote;
using Llama3Cluster.Actors.Hosting;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// One on every gateway: takes members down at once whose process has ended, so that the split brain resolver, which must wait, is
/// left with what may be a partition. With two gateways this is also what lets either survive the other's crash.
/// </summary>
internal sealed class CrashActor(ILoggerFactory loggers) : UntypedActor
{
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log = loggers.CreateLogger<CrashActor>();
    private readonly HashSet<UniqueAddress> _knocking = [];

    public static Props Props(ILoggerFactory loggers) => Akka.Actor.Props.Create(() => new CrashActor(loggers));

    protected override void PreStart()
    {
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.UnreachableMember));
        Context.System.EventStream.Subscribe(Self, typeof(DisassociatedEvent));
        Context.System.EventStream.Subscribe(Self, typeof(AssociationErrorEvent));
    }

    protected override void PostStop()
    {
        _cluster.Unsubscribe(Self);
        Context.System.EventStream.Unsubscribe(Self);
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ClusterEvent.UnreachableMember unreachable:
                Suspect(unreachable.Member.Address);
                break;
            case AssociationEvent lost: // its connection for control messages has ended
                Suspect(lost.RemoteAddress);
                break;
            case Knocked knocked:
                _knocking.Remove(knocked.Member);
                if (knocked.IsGone)
                    TakeOut(knocked.Member);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private void Suspect(Address address)
    {
        if (_cluster.State.Members.FirstOrDefault(member => member.Address.Equals(address)) is not { } member || !_knocking.Add(member.UniqueAddress))
            return;
        UniqueAddress suspect = member.UniqueAddress;
        Knock.IsGoneAsync(NodeContext.AddressOf(address)).PipeTo(Self, success: gone => new Knocked(suspect, gone), failure: _ => new Knocked(suspect, false));
    }

    private void TakeOut(UniqueAddress address)
    {
        if (_cluster.State.Members.FirstOrDefault(member => member.UniqueAddress.Equals(address)) is not { Status: MemberStatus.Up or MemberStatus.Joining or MemberStatus.WeaklyUp })
            return; // it has left, or was taken out before
        _log.LogWarning("nobody listens at {Node} any more: it is taken out of the cluster", NodeContext.AddressOf(address.Address));
        _cluster.Down(address.Address);
    }

    private sealed record Knocked(UniqueAddress Member, bool IsGone);
}
