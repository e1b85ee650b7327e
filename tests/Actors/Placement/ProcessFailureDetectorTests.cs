using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Placement;

namespace Llama3Cluster.Actors.Tests.Placement;

public sealed class ProcessFailureDetectorTests
{
    private static readonly Address Ended = new("akka.tcp", "detectors", "127.0.0.1", 1), Alive = new("akka.tcp", "detectors", "127.0.0.1", 2);

    [Fact]
    public void A_member_whose_process_has_ended_must_not_be_available_and_others_must()
    {
        using ActorSystem system = ActorSystem.Create("detectors", ConfigurationFactory.ParseString(
            "akka { remote.dot-netty.tcp.port = 0, loglevel = OFF, stdout-loglevel = OFF }").WithFallback(ClusterNode.Resource("cluster")));
        Cluster cluster = Cluster.Get(system);
        cluster.FailureDetector.Heartbeat(Ended);
        cluster.FailureDetector.Heartbeat(Alive);
        Assert.True(cluster.FailureDetector.IsAvailable(Ended));

        ProcessFailureDetector.End(cluster, Ended);
        cluster.FailureDetector.Heartbeat(Ended); // one that was under way

        Assert.False(cluster.FailureDetector.IsAvailable(Ended));
        Assert.True(cluster.FailureDetector.IsAvailable(Alive));

        cluster.FailureDetector.Remove(Ended); // as the cluster does when it removes the member
        cluster.FailureDetector.Heartbeat(Ended);
        Assert.True(cluster.FailureDetector.IsAvailable(Ended));
    }
}
