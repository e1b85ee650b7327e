using System.Globalization;
using Akka.Actor;
using Akka.Cluster;
using Llama3Cluster.Actors.Protocol;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>
/// One on every node: sees to it that all members of the cluster share a version of the protocol. Each tells the range that it
/// speaks as its application version, <c>newest.oldest.0</c>, which members know of each other before anything else. A node that
/// joined a cluster that it shares no version with says so and leaves; if it does not, the oldest member removes it.
/// </summary>
public sealed class VersionGuardActor : UntypedActor, IWithTimers
{
    /// <summary>How long a newcomer has to leave by itself.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly ILogger _log;

    /// <summary>Use <see cref="Props"/>.</summary>
    public VersionGuardActor(ILoggerFactory loggers) => _log = loggers.CreateLogger<VersionGuardActor>();

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="loggers">Where it says what it refuses.</param>
    public static Props Props(ILoggerFactory loggers) => Akka.Actor.Props.Create(() => new VersionGuardActor(loggers));

    /// <summary>A node's range as its application version.</summary>
    public static string AppVersionOf(int oldest, int newest) => string.Create(CultureInfo.InvariantCulture, $"{newest}.{oldest}.0");

    /// <summary>Why two nodes do not belong into one cluster; null when they share a version.</summary>
    /// <param name="appVersion">The application version of one.</param>
    /// <param name="peer">The application version of the other.</param>
    public static string? Mismatch(string appVersion, string peer)
    {
        (int oldest, int newest) = RangeOf(appVersion);
        (int peerOldest, int peerNewest) = RangeOf(peer);
        return oldest <= peerNewest && peerOldest <= newest
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"it speaks cluster protocol versions {peerOldest} to {peerNewest}, this node {oldest} to {newest}: run releases that share a version");
    }

    /// <inheritdoc/>
    protected override void PreStart() => _cluster.Subscribe(
        Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.MemberJoined), typeof(ClusterEvent.MemberUp));

    /// <inheritdoc/>
    protected override void PostStop() => _cluster.Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ClusterEvent.IMemberEvent changed:
                Check(changed.Member);
                break;
            case Remove remove when _cluster.State.Members.Any(member => member.UniqueAddress == remove.Member.UniqueAddress):
                _cluster.Down(remove.Member.Address);
                break;
            case Remove:
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    // Another release may have another scheme, or none: then there is nothing to compare, and the links tell.
    private static (int Oldest, int Newest) RangeOf(string appVersion)
    {
        string[] parts = appVersion.Split('.');
        bool known = parts.Length == 3 & int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int newest)
            & int.TryParse(parts.ElementAtOrDefault(1), NumberStyles.None, CultureInfo.InvariantCulture, out int oldest);
        return known && newest > 0 ? (oldest, newest) : (ProtocolVersion.Current, ProtocolVersion.Current);
    }

    private void Check(Member member)
    {
        Member self = _cluster.SelfMember;
        if (member.UniqueAddress == _cluster.SelfUniqueAddress || Mismatch(self.AppVersion.Version, member.AppVersion.Version) is not { } reason)
            return;
        if (self.Status is MemberStatus.Joining or MemberStatus.WeaklyUp || member.IsOlderThan(self))
        {
            _log.LogError("this node leaves the cluster: node {Node} was there before, and {Reason}", NodeContext.AddressOf(member.Address), reason);
            _cluster.Leave(_cluster.SelfAddress);
        }
        else
        {
            _log.LogWarning("node {Node} is refused: {Reason}", NodeContext.AddressOf(member.Address), reason);
            if (_cluster.State.Members.All(other => other.UniqueAddress == _cluster.SelfUniqueAddress || self.IsOlderThan(other)))
                Timers.StartSingleTimer(member.UniqueAddress, new Remove(member), Grace);
        }
    }

    private sealed record Remove(Member Member);
}
