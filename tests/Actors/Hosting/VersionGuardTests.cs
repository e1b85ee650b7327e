using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Hosting;

public sealed class VersionGuardTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(1, 1, 1, 1, true)]
    [InlineData(1, 2, 2, 3, true)]
    [InlineData(2, 3, 1, 2, true)]
    [InlineData(1, 1, 2, 2, false)]
    [InlineData(3, 4, 1, 2, false)]
    public void Releases_must_share_a_version(int oldest, int newest, int peerOldest, int peerNewest, bool share)
    {
        string? problem = VersionGuardActor.Mismatch(VersionGuardActor.AppVersionOf(oldest, newest), VersionGuardActor.AppVersionOf(peerOldest, peerNewest));

        Assert.Equal(share, problem is null);
        if (!share)
            Assert.Contains($"{peerOldest} to {peerNewest}, this node {oldest} to {newest}", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_of_another_release_must_leave_and_the_cluster_go_on()
    {
        using ActorSystem first = Start(ProtocolVersion.Oldest, ProtocolVersion.Current), second = Start(ProtocolVersion.Current + 1, ProtocolVersion.Current + 2),
            third = Start(ProtocolVersion.Current, ProtocolVersion.Current + 1);
        Cluster cluster = Cluster.Get(first);
        await cluster.JoinAsync(cluster.SelfAddress).WaitAsync(Patience);
        var removed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Cluster.Get(second).RegisterOnMemberRemoved(removed.SetResult);

        Cluster.Get(second).Join(cluster.SelfAddress);
        await Cluster.Get(third).JoinAsync(cluster.SelfAddress).WaitAsync(Patience);

        await removed.Task.WaitAsync(Patience);
        Assert.True(SpinWait.SpinUntil(() => cluster.State.Members.Count == 2, Patience));
        Assert.Contains(cluster.State.Members, member => member.UniqueAddress == Cluster.Get(third).SelfUniqueAddress);
    }

    private static ActorSystem Start(int oldest, int newest)
    {
        var system = ActorSystem.Create("versions", ConfigurationFactory.ParseString($$"""
            akka.actor.provider = cluster
            akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
            akka.cluster.app-version = "{{VersionGuardActor.AppVersionOf(oldest, newest)}}"
            akka.loglevel = OFF
            akka.stdout-loglevel = OFF
            """));
        system.ActorOf(VersionGuardActor.Props(NullLoggerFactory.Instance));
        return system;
    }
}
