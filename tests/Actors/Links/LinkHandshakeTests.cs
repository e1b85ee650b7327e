using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Who gets a link, and what the others are told.</summary>
public class LinkHandshakeTests : LinkTestKit
{
    [Fact]
    public void Nodes_without_a_secret_must_link_when_neither_has_one()
    {
        LinkOptions open = Options with { Secret = [] };

        (IActorRef link, _, TestProbe receiver, _) = StartLink(open, open);

        link.Tell(RentStep(1));
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
    }

    [Fact]
    public void Another_secret_must_be_refused()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);

        string reason = ExpectNoLink(Options with { Secret = "another secret"u8.ToArray() }, endpoint);

        Assert.Contains("secret", reason, StringComparison.Ordinal);
        AwaitAssert(() => Assert.Equal(1, StatisticsOf(listener).Refused)); // the dialer may hear first
        receiver.ExpectNoMsg(TimeSpan.Zero);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_secret_on_one_side_only_must_be_refused(bool dialerHasIt)
    {
        LinkOptions open = Options with { Secret = [] };
        (IActorRef listener, IPEndPoint endpoint) = StartListener(dialerHasIt ? open : Options);
        Register(listener);

        string reason = ExpectNoLink(dialerHasIt ? Options : open, endpoint);

        Assert.Contains(dialerHasIt ? "the listener has none" : "the dialer has none", reason, StringComparison.Ordinal);
        Assert.Contains("give all nodes the same secret", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_cluster_must_be_refused()
    {
        (_, IPEndPoint endpoint) = StartListener();

        Assert.Contains("'elsewhere'", ExpectNoLink(Options with { ClusterName = "elsewhere" }, endpoint), StringComparison.Ordinal);
    }

    [Fact]
    public void Another_model_must_be_refused_with_both_fingerprints_shortened()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        Register(listener);

        string reason = ExpectNoLink(Options with { ModelFingerprint = "sha256:fedcba98765432100000" }, endpoint);

        Assert.Contains("'sha256:fedcba987…'", reason, StringComparison.Ordinal);
        Assert.Contains("'sha256:012345678…'", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_version_that_is_not_spoken_must_be_refused_with_both_ranges()
    {
        (_, IPEndPoint endpoint) = StartListener();
        using RawPeer peer = RawPeer.Dial(endpoint);

        FrameCodec.WriteHello(peer.Output, new Hello(2, 3, "test", "replica-1", 7, 2, "", true, new byte[FrameCodec.NonceBytes]));
        peer.Send();

        Assert.Equal(FrameKind.Refused, peer.Read());
        Refused refused = FrameCodec.ReadRefused(peer.Reader.Header);
        Assert.Equal(RefusalCode.Version, refused.Code);
        Assert.Contains("2 to 3", refused.Reason, StringComparison.Ordinal);
        Assert.Contains("1 to 1", refused.Reason, StringComparison.Ordinal);
        peer.ExpectEnd();
    }

    [Fact]
    public void An_address_must_be_dialed_until_it_is_registered()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(Options, endpoint, Address, owner));
        AwaitCondition(() => StatisticsOf(listener).Refused > 0, TimeSpan.FromSeconds(3));

        TestProbe receiver = Register(listener);

        receiver.ExpectMsg<LinkUp>();
        owner.ExpectMsg<LinkUp>();
    }

    [Fact]
    public void An_address_that_is_never_registered_must_be_given_up_at_the_deadline()
    {
        (_, IPEndPoint endpoint) = StartListener();

        string reason = ExpectNoLink(Options with { ConnectDeadline = TimeSpan.FromMilliseconds(200) }, endpoint);

        Assert.Contains("0.2 s", reason, StringComparison.Ordinal);
        Assert.Contains("nobody receives for replica replica-1 epoch 7 stage 2", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_epoch_must_not_reach_the_receiver()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        TestProbe owner = CreateTestProbe();

        Sys.ActorOf(LinkActor.Props(
            Options with { ConnectDeadline = TimeSpan.FromMilliseconds(100) }, endpoint, Address with { Epoch = 6 }, owner));

        owner.ExpectMsg<LinkDown>();
        receiver.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void A_second_link_to_an_address_must_wait_for_the_end_of_the_first()
    {
        (IActorRef first, _, TestProbe receiver, IActorRef listener) = StartLink();
        listener.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        IPEndPoint endpoint = ExpectMsg<LinkListenerActor.Bound>().Endpoint;
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(Options, endpoint, Address, owner));
        AwaitCondition(() => StatisticsOf(listener).Refused > 0, TimeSpan.FromSeconds(3));
        owner.ExpectNoMsg(TimeSpan.Zero);

        Sys.Stop(first);

        receiver.ExpectMsg<LinkDown>();
        receiver.ExpectMsg<LinkUp>();
        owner.ExpectMsg<LinkUp>();
    }

    [Fact]
    public void A_closed_port_must_be_dialed_until_the_deadline()
    {
        using Socket socket = RawPeer.Listen();
        var endpoint = (IPEndPoint)socket.LocalEndPoint!;
        socket.Dispose();

        string reason = ExpectNoLink(Options with { ConnectDeadline = TimeSpan.FromMilliseconds(200) }, endpoint);

        Assert.Contains("attempts", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_host_that_does_not_answer_must_be_given_up_at_the_deadline()
    {
        using Socket listening = RawPeer.Listen(backlog: 0);
        var endpoint = (IPEndPoint)listening.LocalEndPoint!;
        using RawPeer first = RawPeer.Dial(endpoint); // fills the backlog: from now on nobody's connection is answered

        string reason = ExpectNoLink(
            Options with { ConnectDeadline = TimeSpan.FromMilliseconds(300), HandshakeDeadline = TimeSpan.FromSeconds(60) }, endpoint);

        Assert.Contains("no link within 0.3 s: 1 attempts", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_link_that_stops_in_its_handshake_must_close_its_connection()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer peer = RawPeer.Accept(listening);
        Assert.Equal(FrameKind.Hello, peer.Read());

        Sys.Stop(link);

        owner.ExpectMsg<LinkDown>();
        peer.ExpectEnd();
    }

    [Fact]
    public void Frames_for_a_link_that_never_comes_up_must_go_back_to_their_pool()
    {
        (_, IPEndPoint endpoint) = StartListener();
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(
            Options with { ConnectDeadline = TimeSpan.FromMilliseconds(100) }, endpoint, Address, owner));
        for (int i = 0; i < 5; i++)
            link.Tell(RentStep(i));

        owner.ExpectMsg<LinkDown>();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_server_of_another_kind_must_not_be_dialed_again()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(Options, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer peer = RawPeer.Accept(listening);

        peer.Send("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());

        Assert.Contains("does not speak the link protocol", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_listener_that_cannot_prove_the_secret_must_not_get_a_link()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        link.Tell(RentStep(1));
        using RawPeer impostor = RawPeer.Accept(listening);

        Assert.Equal(FrameKind.Hello, impostor.Read());
        FrameCodec.WriteChallenge(impostor.Output, new Challenge(ProtocolVersion.Current, new byte[FrameCodec.NonceBytes]));
        impostor.Send();
        Assert.Equal(FrameKind.Proof, impostor.Read());
        byte[] reflected = FrameCodec.ReadProof(impostor.Reader.Header); // the only proof it has ever seen for these nonces
        FrameCodec.WriteWelcome(impostor.Output, new Welcome(8, 1 << 20, reflected));
        impostor.Send();

        Assert.Contains("secret", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_listener_that_welcomes_without_proof_must_not_get_a_link()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(Options, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer impostor = RawPeer.Accept(listening);
        Assert.Equal(FrameKind.Hello, impostor.Read());
        FrameCodec.WriteChallenge(impostor.Output, new Challenge(ProtocolVersion.Current, new byte[FrameCodec.NonceBytes]));
        impostor.Send();
        Assert.Equal(FrameKind.Proof, impostor.Read());
        FrameCodec.WriteWelcome(impostor.Output, new Welcome(8, 1 << 20, []));
        impostor.Send();

        Assert.Contains("secret", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recorded_handshake_must_not_open_a_link()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        byte[] nonce = new byte[FrameCodec.NonceBytes];
        var hello = new Hello(1, 1, Options.ClusterName, Address.Replica, Address.Epoch, Address.Stage, Options.ModelFingerprint, true, nonce);
        byte[] proof;
        using (RawPeer honest = RawPeer.Dial(endpoint))
        {
            FrameCodec.WriteHello(honest.Output, hello);
            byte[] helloHeader = honest.Output.Header.ToArray();
            honest.Send();
            Assert.Equal(FrameKind.Challenge, honest.Read());
            proof = LinkAuthentication.DialerProof(Options.Secret, helloHeader, honest.Reader.Header.Span);
            FrameCodec.WriteProof(honest.Output, proof);
            honest.Send();
            Assert.Equal(FrameKind.Welcome, honest.Read());
        }

        receiver.ExpectMsg<LinkUp>();
        receiver.ExpectMsg<LinkDown>();
        using RawPeer replay = RawPeer.Dial(endpoint);
        FrameCodec.WriteHello(replay.Output, hello);
        replay.Send();
        Assert.Equal(FrameKind.Challenge, replay.Read());
        FrameCodec.WriteProof(replay.Output, proof);
        replay.Send();

        Assert.Equal(FrameKind.Refused, replay.Read());
        Assert.Equal(RefusalCode.Secret, FrameCodec.ReadRefused(replay.Reader.Header).Code);
        receiver.ExpectNoMsg(TimeSpan.Zero);
    }
}
