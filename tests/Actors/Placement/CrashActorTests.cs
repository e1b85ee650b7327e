using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.Remote;
using Llama3Cluster.Actors.Placement;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Placement;

/// <summary>Members as one of them sees them, whose heartbeats tell nothing for an hour.</summary>
public sealed class CrashActorTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ActorSystem _watching = Start();
    private readonly Cluster _cluster;

    public CrashActorTests()
    {
        _cluster = Cluster.Get(_watching);
        _watching.ActorOf(CrashActor.Props(NullLoggerFactory.Instance));
    }

    public void Dispose() => _watching.Dispose();

    [Fact]
    public async Task A_process_that_has_ended_must_be_removed_and_another_take_its_address()
    {
        await _cluster.JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        using ActorSystem ending = await JoiningAsync();
        Address address = Cluster.Get(ending).SelfAddress;

        await ending.Terminate().WaitAsync(Patience);

        Assert.True(SpinWait.SpinUntil(() => _cluster.State.Members.Count == 1, Patience), "it is still a member");
        using ActorSystem next = await JoiningAsync(address.Port!.Value);
        Assert.Contains(_cluster.State.Members, member => member.UniqueAddress == Cluster.Get(next).SelfUniqueAddress);
    }

    [Fact]
    public async Task A_process_that_listens_must_stay_whatever_becomes_of_its_connection()
    {
        await _cluster.JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        using ActorSystem staying = await JoiningAsync(), ending = await JoiningAsync();
        UniqueAddress stays = Cluster.Get(staying).SelfUniqueAddress;

        _watching.EventStream.Publish(new DisassociatedEvent(_cluster.SelfAddress, stays.Address, false));
        await ending.Terminate().WaitAsync(Patience);

        Assert.True(SpinWait.SpinUntil(() => _cluster.State.Members.Count == 2, Patience), "the other is still a member");
        Assert.Contains(_cluster.State.Members, member => member.UniqueAddress == stays && member.Status == MemberStatus.Up);
    }

    private static ActorSystem Start(int port = 0) => ActorSystem.Create("crashes", ConfigurationFactory.ParseString($$"""
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = {{port}} }
        akka.cluster.failure-detector { heartbeat-interval = 500ms, acceptable-heartbeat-pause = 3600s }
        akka.coordinated-shutdown.run-by-actor-system-terminate = off
        akka.loglevel = OFF
        akka.stdout-loglevel = OFF
        """));

    private async Task<ActorSystem> JoiningAsync(int port = 0)
    {
        ActorSystem system = Start(port);
        await Cluster.Get(system).JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        Assert.True(SpinWait.SpinUntil(
            () => _cluster.State.Members.Any(member => member.UniqueAddress == Cluster.Get(system).SelfUniqueAddress && member.Status == MemberStatus.Up), Patience));
        return system;
    }
}
