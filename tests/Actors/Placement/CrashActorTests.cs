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
    public async Task A_process_that_has_ended_must_be_taken_down()
    {
        await _cluster.JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        using ActorSystem ending = await JoiningAsync();

        await ending.Terminate().WaitAsync(Patience);

        Assert.True(SpinWait.SpinUntil(() => StatusOf(ending) == MemberStatus.Down, Patience), "it is still taken for alive");
    }

    [Fact]
    public async Task A_process_that_listens_must_stay_whatever_becomes_of_its_connection()
    {
        await _cluster.JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        using ActorSystem staying = await JoiningAsync(), ending = await JoiningAsync();

        _watching.EventStream.Publish(new DisassociatedEvent(_cluster.SelfAddress, Cluster.Get(staying).SelfAddress, false));
        await ending.Terminate().WaitAsync(Patience);

        Assert.True(SpinWait.SpinUntil(() => StatusOf(ending) == MemberStatus.Down, Patience), "the other is still taken for alive");
        Assert.Equal(MemberStatus.Up, StatusOf(staying));
    }

    private static ActorSystem Start() => ActorSystem.Create("crashes", ConfigurationFactory.ParseString("""
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
        akka.cluster.failure-detector { heartbeat-interval = 500ms, acceptable-heartbeat-pause = 3600s }
        akka.coordinated-shutdown.run-by-actor-system-terminate = off
        akka.loglevel = OFF
        akka.stdout-loglevel = OFF
        """));

    private MemberStatus? StatusOf(ActorSystem system) =>
        _cluster.State.Members.FirstOrDefault(member => member.UniqueAddress == Cluster.Get(system).SelfUniqueAddress)?.Status;

    private async Task<ActorSystem> JoiningAsync()
    {
        ActorSystem system = Start();
        await Cluster.Get(system).JoinAsync(_cluster.SelfAddress).WaitAsync(Patience);
        Assert.True(SpinWait.SpinUntil(() => StatusOf(system) == MemberStatus.Up, Patience));
        return system;
    }
}
