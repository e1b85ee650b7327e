using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Every way a link that was up ends: both sides hear of it once, and no frame is lost.</summary>
public class LinkFailureTests : LinkTestKit
{
    [Fact]
    public void A_peer_that_dies_must_take_the_senders_link_down_and_free_its_queue()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options with { Credits = 2 }, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using (RawPeer peer = RawPeer.AcceptLink(listening, Address, Options with { Credits = 2 }))
        {
            owner.ExpectMsg<LinkUp>();
            for (int i = 0; i < 5; i++)
                link.Tell(RentStep(i, payloadFloats: 100));
            Assert.Equal(FrameKind.Step, peer.Read());
        }

        owner.ExpectMsg<LinkDown>(TimeSpan.FromSeconds(1));
        owner.ExpectNoMsg(Soon);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_peer_that_dies_must_take_the_receivers_link_down()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        using (RawPeer peer = RawPeer.Link(endpoint, Address, Options))
        {
            receiver.ExpectMsg<LinkUp>();
            peer.Send(RentStep(1));
            AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
            Assert.Equal(FrameKind.Credit, peer.Read()); // unread, it would turn the close into a reset
        }

        Assert.Contains("closed", receiver.ExpectMsg<LinkDown>(TimeSpan.FromSeconds(1)).Reason, StringComparison.Ordinal);
        receiver.ExpectNoMsg(Soon);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_connection_that_ends_inside_a_frame_must_deliver_nothing_of_it()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        using (RawPeer peer = RawPeer.Link(endpoint, Address, Options))
        {
            receiver.ExpectMsg<LinkUp>();
            StepFrame frame = RentStep(1, payloadFloats: 10_000);
            FrameCodec.WriteStep(peer.Output, frame);
            peer.Send(frame.PayloadLength); // the header, and then nothing
            frame.Release();
        }

        Assert.Contains("inside a frame", receiver.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_silent_peer_must_take_the_link_down()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        LinkOptions impatient = Options with { PingInterval = TimeSpan.FromMilliseconds(20), PingTimeout = TimeSpan.FromMilliseconds(150) };
        Sys.ActorOf(LinkActor.Props(impatient, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer peer = RawPeer.AcceptLink(listening, Address, Options);
        owner.ExpectMsg<LinkUp>();

        Assert.Contains("nothing came from the peer", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_silent_sender_must_take_the_receivers_link_down()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(
            Options with { PingInterval = TimeSpan.FromMilliseconds(20), PingTimeout = TimeSpan.FromMilliseconds(150) });
        TestProbe receiver = Register(listener);
        using RawPeer peer = RawPeer.Link(endpoint, Address, Options);
        receiver.ExpectMsg<LinkUp>();

        Assert.Contains("nothing came from the peer", receiver.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_peer_that_takes_nothing_must_take_the_link_down()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        LinkOptions impatient = Options with { PingTimeout = TimeSpan.FromMilliseconds(150), MaxPayloadBytes = 64 << 20 };
        IActorRef link = Sys.ActorOf(LinkActor.Props(impatient, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer peer = RawPeer.AcceptLink(listening, Address, impatient);
        owner.ExpectMsg<LinkUp>();

        link.Tell(RentStep(1, payloadFloats: 16 << 20)); // more than the kernel's buffers hold

        owner.ExpectMsg<LinkDown>();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void An_owner_that_stops_must_end_its_link_with_a_goodbye()
    {
        (_, TestProbe owner, TestProbe receiver, _) = StartLink();

        Sys.Stop(owner);

        Assert.Contains("its owner stopped", receiver.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_receiver_that_stops_must_end_its_link_and_give_its_frames_back()
    {
        (IActorRef link, TestProbe owner, TestProbe receiver, IActorRef listener) = StartLink();
        Sys.Stop(receiver);
        for (int i = 0; i < 20; i++)
            link.Tell(RentStep(i));

        Assert.Contains("its receiver stopped", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        while (receiver.HasMessages)
            (receiver.ReceiveOne() as StepFrame)?.Release(); // those that came before it stopped
        AssertNoFrameIsLost();
        Assert.Equal(1, StatisticsOf(listener).Established);
    }

    [Fact]
    public void Unregistering_must_end_the_link()
    {
        (_, TestProbe owner, TestProbe receiver, IActorRef listener) = StartLink();

        listener.Tell(new LinkListenerActor.Unregister(Address));

        owner.ExpectMsg<LinkDown>();
        receiver.ExpectMsg<LinkDown>();
    }

    [Fact]
    public void A_listener_that_stops_must_end_its_links()
    {
        (_, TestProbe owner, TestProbe receiver, IActorRef listener) = StartLink();

        Sys.Stop(listener);

        owner.ExpectMsg<LinkDown>();
        receiver.ExpectMsg<LinkDown>();
    }

    [Theory]
    [InlineData(FrameKind.Credit)]
    [InlineData(FrameKind.Pong)]
    [InlineData(FrameKind.Hello)]
    [InlineData(FrameKind.Welcome)]
    public void A_frame_out_of_place_must_take_the_receivers_link_down(FrameKind kind)
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        using RawPeer peer = RawPeer.Link(endpoint, Address, Options);
        receiver.ExpectMsg<LinkUp>();

        FrameCodec.WriteNumber(peer.Output, kind, 12345);
        peer.Send();

        Assert.Contains($"{kind}", receiver.ExpectMsg<LinkDown>().Reason, StringComparison.OrdinalIgnoreCase);
        peer.ExpectEnd();
    }

    [Fact]
    public void Credit_that_was_never_taken_must_take_the_link_down()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(Options, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        using RawPeer peer = RawPeer.AcceptLink(listening, Address, Options);
        owner.ExpectMsg<LinkUp>();

        FrameCodec.WriteNumber(peer.Output, FrameKind.Credit, 1);
        peer.Send();

        Assert.Contains("credit", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sender_without_credit_must_be_cut_off()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Options with { Credits = 2 });
        TestProbe receiver = Register(listener);
        using RawPeer peer = RawPeer.Link(endpoint, Address, Options);
        receiver.ExpectMsg<LinkUp>();

        for (int i = 0; i < 3; i++)
            peer.Send(RentStep(i));

        StepFrame[] taken = [receiver.ExpectMsg<StepFrame>(), receiver.ExpectMsg<StepFrame>()];
        Assert.Contains("without credit", receiver.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        foreach (StepFrame frame in taken)
            frame.Release();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_malformed_step_must_take_the_link_down()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe receiver = Register(listener);
        using RawPeer peer = RawPeer.Link(endpoint, Address, Options);
        receiver.ExpectMsg<LinkUp>();

        // A header of 2 bytes that says: an array of one element, which is a step.
        peer.Send(2, 0, 0, 0, 0, 0, 0, 0, 0x91, (byte)FrameKind.Step);

        receiver.ExpectMsg<LinkDown>();
        peer.ExpectEnd();
        AssertNoFrameIsLost();
    }
}
