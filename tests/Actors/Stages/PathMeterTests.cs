using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Stages;

namespace Llama3Cluster.Actors.Tests.Stages;

public sealed class PathMeterTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void A_path_must_be_as_long_as_the_fastest_of_the_last_messages_took()
    {
        var times = new PathTimes();
        times.Add(0.002);
        for (int i = 2; i < PathTimes.Fewest; i++)
            times.Add(1);
        Assert.Null(times.Seconds);
        times.Add(1);
        Assert.Equal(0.001, times.Seconds);
        for (int i = 0; i < 2 * PathTimes.Fewest; i++)
            times.Add(0.5);
        Assert.Equal(0.25, times.Seconds);
    }

    [Fact]
    public async Task A_node_must_measure_the_ways_to_the_others_that_have_stages()
    {
        using ActorSystem first = Start(ClusterNode.StageRole), second = Start(ClusterNode.StageRole), gateway = Start("gateway");
        var measured = new TaskCompletionSource<PathMeterActor.Measured>(TaskCreationOptions.RunContinuationsAsynchronously);
        first.ActorOf(Props.Create(() => new Host(measured)), StageHostActor.ActorName);
        second.ActorOf(Props.Create(() => new Host(null)), StageHostActor.ActorName);
        foreach (ActorSystem system in (ActorSystem[])[first, second, gateway])
            await Cluster.Get(system).JoinAsync(Cluster.Get(first).SelfAddress).WaitAsync(Patience);

        PathMeterActor.Measured paths = await measured.Task.WaitAsync(Patience);

        var path = Assert.Single(paths.Paths);
        Assert.Equal(NodeContext.AddressOf(Cluster.Get(second).SelfAddress), path.Node);
        Assert.InRange(path.Seconds, 1e-6, Patience.TotalSeconds);
    }

    private static ActorSystem Start(string role) => ActorSystem.Create("paths", ConfigurationFactory.ParseString($$"""
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
        akka.cluster.roles = ["{{role}}"]
        akka.loglevel = OFF
        akka.stdout-loglevel = OFF
        """));

    // Stands where the stage host does; tells when something is known.
    private sealed class Host : UntypedActor
    {
        private readonly TaskCompletionSource<PathMeterActor.Measured>? _known;

        public Host(TaskCompletionSource<PathMeterActor.Measured>? known)
        {
            _known = known;
            if (known is not null)
                Context.ActorOf(PathMeterActor.Props(64 << 10));
        }

        protected override void OnReceive(object message)
        {
            if (message is PathMeterActor.Measured { Paths.Length: > 0 } measured)
                _known?.TrySetResult(measured);
        }
    }
}
