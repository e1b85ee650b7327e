using System.Net;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>What a listener does with its port, and with strangers who find it.</summary>
public class LinkListenerTests : LinkTestKit
{
    private static TimeSpan Patience => TimeSpan.FromSeconds(3);

    [Fact]
    public void A_port_in_use_must_be_reported_with_a_remedy()
    {
        (_, IPEndPoint endpoint) = StartListener();
        TestProbe parent = CreateTestProbe();

        IActorRef second = parent.ChildActorOf(LinkListenerActor.Props(Options, endpoint));

        string reason = parent.ExpectMsg<LinkListenerActor.BindFailed>().Reason;
        Assert.Contains(endpoint.ToString(), reason, StringComparison.Ordinal);
        Assert.Contains("choose another port", reason, StringComparison.Ordinal);
        second.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        Assert.Equal(endpoint, ExpectMsg<LinkListenerActor.BindFailed>().Endpoint);
    }

    [Fact]
    public void An_address_of_another_machine_must_be_reported_with_a_remedy()
    {
        TestProbe parent = CreateTestProbe();
        parent.ChildActorOf(LinkListenerActor.Props(Options, new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0)));

        Assert.Contains("network interfaces", parent.ExpectMsg<LinkListenerActor.BindFailed>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_must_be_free_again_when_its_listener_has_stopped()
    {
        (IActorRef link, _, _, IActorRef first) = StartLink();
        first.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        IPEndPoint endpoint = ExpectMsg<LinkListenerActor.Bound>().Endpoint;
        Watch(first);
        Sys.Stop(first);
        ExpectTerminated(first);

        IActorRef second = Sys.ActorOf(LinkListenerActor.Props(Options, endpoint));

        second.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        Assert.Equal(endpoint, ExpectMsg<LinkListenerActor.Bound>().Endpoint);
        Sys.Stop(link);
    }

    [Fact]
    public void Garbage_must_be_closed_and_counted()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        byte[][] garbage =
        [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray(),
            [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f],
            [1, 0, 0, 0, 0, 0, 0, 0, 0xc1],
            [2, 0, 0, 0, 0, 0, 0, 0, 0x91, (byte)FrameKind.Step],
        ];
        foreach (byte[] bytes in garbage)
        {
            using RawPeer peer = RawPeer.Dial(endpoint);
            peer.Send(bytes);
            peer.ExpectEnd();
        }

        AwaitCondition(() => StatisticsOf(listener).Malformed == garbage.Length, Patience);
        AssertStillWorks(listener, endpoint);
    }

    [Fact]
    public void Random_garbage_must_do_no_harm()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        var random = new Random(40);
        const int peers = 50;
        for (int i = 0; i < peers; i++)
        {
            byte[] bytes = new byte[random.Next(1, 300)];
            random.NextBytes(bytes);
            if (random.Next(2) == 0)
                bytes.AsSpan(0, Math.Min(8, bytes.Length)).Clear();
            bytes[0] = (byte)Math.Max(bytes.Length - 8, 1);
            using RawPeer peer = RawPeer.Dial(endpoint);
            peer.Send(bytes);
        }

        AwaitCondition(() => StatisticsOf(listener) is var s && s.Malformed + s.Disconnected + s.Crowded == peers, Patience);
        AssertStillWorks(listener, endpoint);
    }

    [Fact]
    public void Slow_peers_must_be_closed_at_the_deadline_however_often_they_send()
    {
        LinkOptions impatient = Options with { HandshakeDeadline = TimeSpan.FromMilliseconds(300) };
        (IActorRef listener, IPEndPoint endpoint) = StartListener(impatient);
        using RawPeer silent = RawPeer.Dial(endpoint);
        using RawPeer slow = RawPeer.Dial(endpoint);
        FrameCodec.WriteHello(slow.Output, new Hello(1, 1, "test", "replica-1", 7, 2, "", true, new byte[FrameCodec.NonceBytes]));
        byte[] hello = [.. slow.Output.Complete(0)];

        // A byte each time the listener is asked how it is doing: many receives, none of which waits long.
        for (int sent = 0; sent < hello.Length - 1 && StatisticsOf(listener).TimedOut < 2; sent++)
        {
            try
            {
                slow.Send(hello[sent]);
            }
            catch (System.Net.Sockets.SocketException)
            {
                break; // closed: that is what we wait for
            }
        }

        AwaitCondition(() => StatisticsOf(listener).TimedOut == 2, Patience);
        slow.ExpectEnd();
        silent.ExpectEnd();
        AssertStillWorks(listener, endpoint);
    }

    [Fact]
    public void Connections_beyond_the_cap_must_be_closed_and_counted()
    {
        LinkOptions options = Options with { MaxPendingHandshakes = 3, HandshakeDeadline = TimeSpan.FromSeconds(30) };
        (IActorRef listener, IPEndPoint endpoint) = StartListener(options);
        RawPeer[] idle = [.. Enumerable.Range(0, 5).Select(_ => RawPeer.Dial(endpoint))];

        AwaitCondition(() => StatisticsOf(listener).Crowded == 2, Patience);
        foreach (RawPeer peer in idle)
            peer.Dispose();

        AwaitCondition(() => StatisticsOf(listener).Disconnected == 3, Patience);
        AssertStillWorks(listener, endpoint);
    }

    [Fact]
    public void A_listener_that_stops_must_close_pending_handshakes()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Options with { HandshakeDeadline = TimeSpan.FromSeconds(30) });
        using RawPeer pending = RawPeer.Dial(endpoint);
        FrameCodec.WriteHello(
            pending.Output, new Hello(1, 1, Options.ClusterName, "replica-1", 7, 2, "", true, new byte[FrameCodec.NonceBytes]));
        pending.Send();
        Assert.Equal(FrameKind.Challenge, pending.Read());

        Sys.Stop(listener);

        pending.ExpectEnd();
    }

    [Fact]
    public void A_receiver_that_stops_must_be_forgotten()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        Watch(receiver);
        Sys.Stop(receiver);
        ExpectTerminated(receiver);

        LinkOptions impatient = Options with { ConnectDeadline = TimeSpan.FromMilliseconds(200) };
        Assert.Contains("nobody receives", ExpectNoLink(impatient, endpoint), StringComparison.Ordinal);
    }

    [Fact]
    public void A_new_receiver_must_take_the_address_over()
    {
        (_, TestProbe owner, TestProbe first, IActorRef listener) = StartLink();

        TestProbe second = Register(listener);

        first.ExpectMsg<LinkDown>();
        owner.ExpectMsg<LinkDown>();
        listener.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        Sys.ActorOf(LinkActor.Props(Options, ExpectMsg<LinkListenerActor.Bound>().Endpoint, Address, owner));
        second.ExpectMsg<LinkUp>();
        first.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void Registering_again_must_leave_the_link_alone()
    {
        (IActorRef link, _, TestProbe receiver, IActorRef listener) = StartLink();

        listener.Tell(new LinkListenerActor.Register(Address, receiver));
        link.Tell(RentStep(1));

        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
    }

    private void AssertStillWorks(IActorRef listener, IPEndPoint endpoint)
    {
        TestProbe receiver = Register(listener);
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options, endpoint, Address, owner));
        receiver.ExpectMsg<LinkUp>();
        link.Tell(RentStep(1));
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
        AssertNoFrameIsLost();
    }
}
