using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Llama3Cluster.Actors.Hosting;

namespace Llama3Cluster.Actors.Tests.Hosting;

public sealed class SeedNodesTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData("127.0.0.1:4001", true)]
    [InlineData("127.0.0.1:4001,127.0.0.1:4002", true)]
    [InlineData("127.0.0.1:4002,127.0.0.1:4001", false)]
    [InlineData("127.0.0.1:4002", false)]
    [InlineData("", false)]
    public void Only_the_first_seed_must_wait_longer_before_it_founds(string seeds, bool waits)
    {
        Config settings = SeedNodes.Settings(Node(4001, seeds.Split(',', StringSplitOptions.RemoveEmptyEntries)));

        Assert.Equal(waits ? TimeSpan.FromSeconds(10) : TimeSpan.FromSeconds(3), settings.WithFallback("akka.cluster.seed-node-timeout = 3s").GetTimeSpan("akka.cluster.seed-node-timeout"));
    }

    [Fact]
    public async Task The_first_seed_must_found_at_once_where_nobody_else_listens()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // nobody else takes the port
        using ActorSystem system = Start();
        Task up = UpAsync(system);

        await SeedNodes.JoinAsync(Cluster.Get(system), Node(PortOf(system), AddressOf(system), silent.LocalEndPoint!.ToString()!));

        await up.WaitAsync(Patience);
    }

    [Fact]
    public async Task The_first_seed_must_join_another_that_is_there()
    {
        using ActorSystem founder = Start(), system = Start();
        Task up = UpAsync(system);
        await SeedNodes.JoinAsync(Cluster.Get(founder), Node(PortOf(founder)));

        await SeedNodes.JoinAsync(Cluster.Get(system), Node(PortOf(system), AddressOf(system), AddressOf(founder)));

        await up.WaitAsync(Patience);
        Assert.Contains(Cluster.Get(system).State.Members, member => member.UniqueAddress == Cluster.Get(founder).SelfUniqueAddress);
    }

    [Theory]
    [InlineData("127.0.0.1:9090", "127.0.0.1")]
    [InlineData("alpha.lan:9090", "alpha.lan")]
    [InlineData("[::1]:9090", "[::1]")]
    public void An_address_must_be_taken_as_it_is_written(string seed, string host) =>
        Assert.Equal(new Address("akka.tcp", "seeds", host, 9090), SeedNodes.Parse("seeds", null, seed));

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:0")]
    [InlineData("127.0.0.1:65536")]
    [InlineData("::1:9090")]
    [InlineData("host:port")]
    [InlineData(":9090")]
    [InlineData("http://127.0.0.1:9090")]
    [InlineData("")]
    public void What_is_no_address_must_be_refused(string seed) =>
        Assert.Contains("HOST:PORT", Assert.Throws<ArgumentException>(() => SeedNodes.Parse("seeds", null, seed)).Message, StringComparison.Ordinal);

    private static ClusterNodeOptions Node(int port, params string[] seeds) =>
        new() { ClusterName = "seeds", Cluster = new IPEndPoint(IPAddress.Loopback, port), Seeds = seeds, Model = null! };

    private static int PortOf(ActorSystem system) => Cluster.Get(system).SelfAddress.Port!.Value;

    private static string AddressOf(ActorSystem system) => $"127.0.0.1:{PortOf(system)}";

    private static Task UpAsync(ActorSystem system)
    {
        var up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Cluster.Get(system).RegisterOnMemberUp(up.SetResult);
        return up.Task;
    }

    // Nobody is found for an hour except by asking.
    private static ActorSystem Start() => ActorSystem.Create("seeds", ConfigurationFactory.ParseString("""
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
        akka.cluster.seed-node-timeout = 3600s
        akka.loglevel = OFF
        akka.stdout-loglevel = OFF
        """));
}
