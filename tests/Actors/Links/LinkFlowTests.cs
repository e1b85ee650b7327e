using System.Net;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Frames on a link: their order, their credit, and where they end up.</summary>
public class LinkFlowTests : LinkTestKit
{
    [Fact]
    public void A_step_must_arrive_as_it_was_sent()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink();

        link.Tell(RentStep(5, payloadFloats: 8 * 4096));

        AssertStep(receiver.ExpectMsg<StepFrame>(), 5, payloadFloats: 8 * 4096);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void Sampled_tokens_must_arrive_as_they_were_sent()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink();
        SampledFrame sent = Pool.RentSampled();
        sent.Tokens.Reset(7, 3);
        sent.Tokens.Add(1, 2, 3, new TokenLogProb(4, -0.5f), [new TokenLogProb(5, -1)]);

        link.Tell(sent);

        SampledFrame received = receiver.ExpectMsg<SampledFrame>();
        Assert.Equal(3, received.Tokens.Step);
        Assert.Equal(new TokenLogProb(4, -0.5f), received.Tokens.Rows[0].Token);
        Assert.Equal([new TokenLogProb(5, -1)], received.Tokens.Top);
        received.Release();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void Thousands_of_frames_of_all_sizes_must_arrive_in_order()
    {
        const int frames = 3000;
        LinkOptions options = Options with { MaxQueuedFrames = frames };
        (IActorRef link, _, TestProbe receiver, _) = StartLink(options, options);
        int[] sizes = [0, 1, 3, 1000, 4096, 5000, 32 * 1024, 300_000];
        var random = new Random(30);
        int[] floats = [.. Enumerable.Range(0, frames).Select(i => i % 100 == 0 ? sizes[^1] : sizes[random.Next(sizes.Length - 2)])];
        for (int i = 0, inFlight = 0; i < frames; i++)
        {
            link.Tell(RentStep(i, floats[i]));
            if (++inFlight == 100)
            {
                for (int received = i - inFlight + 1; received <= i; received++)
                    AssertStep(receiver.ExpectMsg<StepFrame>(), received, floats[received]);
                inFlight = 0;
            }
        }

        AssertNoFrameIsLost();
    }

    [Fact]
    public void Steps_and_sampled_tokens_must_keep_their_order()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink();
        for (int i = 0; i < 20; i++)
        {
            link.Tell(RentStep(i));
            SampledFrame sampled = Pool.RentSampled();
            sampled.Tokens.Reset(7, i);
            link.Tell(sampled);
        }

        for (int i = 0; i < 20; i++)
        {
            AssertStep(receiver.ExpectMsg<StepFrame>(), i);
            SampledFrame sampled = receiver.ExpectMsg<SampledFrame>();
            Assert.Equal(i, sampled.Tokens.Step);
            sampled.Release();
        }

        AssertNoFrameIsLost();
    }

    [Fact]
    public void Frames_that_are_sent_before_the_link_is_up_must_arrive()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();
        TestProbe owner = CreateTestProbe();
        TestProbe receiver = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options, endpoint, Address, owner));
        link.Tell(RentStep(1));
        link.Tell(RentStep(2));
        listener.Tell(new LinkListenerActor.Register(Address, receiver));

        receiver.ExpectMsg<LinkUp>();
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
        AssertStep(receiver.ExpectMsg<StepFrame>(), 2);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_receiver_that_keeps_frames_must_get_no_more_than_its_credit()
    {
        LinkOptions options = Options with { Credits = 3 };
        (IActorRef link, _, TestProbe receiver, _) = StartLink(Options, options);
        for (int i = 0; i < 10; i++)
            link.Tell(RentStep(i));

        var held = new Queue<StepFrame>(Enumerable.Range(0, 3).Select(_ => receiver.ExpectMsg<StepFrame>()));
        receiver.ExpectNoMsg(Soon);

        for (int next = 3; next < 10; next++)
        {
            AssertStep(held.Dequeue(), next - 3);
            held.Enqueue(receiver.ExpectMsg<StepFrame>()); // one was released, one comes
        }

        receiver.ExpectNoMsg(Soon);
        while (held.TryDequeue(out StepFrame? frame))
            frame.Release();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_frame_that_is_passed_on_must_earn_credit_only_when_the_next_has_released_it()
    {
        LinkOptions options = Options with { Credits = 1 };
        (IActorRef link, _, TestProbe receiver, _) = StartLink(Options, options);
        link.Tell(RentStep(1));
        link.Tell(RentStep(2));
        StepFrame first = receiver.ExpectMsg<StepFrame>();
        TestProbe next = CreateTestProbe();
        next.Ref.Tell(first, receiver);

        receiver.ExpectNoMsg(Soon);
        next.ExpectMsg<StepFrame>().Release();

        receiver.ExpectMsg<StepFrame>().Release();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void More_frames_than_the_queue_takes_must_break_the_link_and_go_back_to_their_pool()
    {
        LinkOptions options = Options with { Credits = 2, MaxQueuedFrames = 4 };
        (IActorRef link, TestProbe owner, TestProbe receiver, _) = StartLink(options, options);
        for (int i = 0; i < 7; i++)
            link.Tell(RentStep(i));

        Assert.Contains("4 frames", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);

        receiver.ExpectMsg<StepFrame>().Release();
        receiver.ExpectMsg<StepFrame>().Release();
        receiver.ExpectMsg<LinkDown>();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_payload_that_the_peer_does_not_take_must_break_the_link_where_it_is_sent()
    {
        (IActorRef link, TestProbe owner, TestProbe receiver, _) = StartLink(Options, Options with { MaxPayloadBytes = 1000 });

        link.Tell(RentStep(1, payloadFloats: 251));

        string reason = owner.ExpectMsg<LinkDown>().Reason;
        Assert.Contains("1004", reason, StringComparison.Ordinal);
        Assert.Contains("1000", reason, StringComparison.Ordinal);
        receiver.ExpectMsg<LinkDown>();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void Frames_for_a_link_that_has_stopped_must_go_back_to_their_pool()
    {
        (IActorRef link, TestProbe owner, _, _) = StartLink();
        Watch(link);
        Sys.Stop(link);
        owner.ExpectMsg<LinkDown>();
        ExpectTerminated(link);

        for (int i = 0; i < 10; i++)
            link.Tell(RentStep(i));

        AssertNoFrameIsLost();
    }

    [Fact]
    public void Frames_that_a_receiver_ignores_must_go_back_to_their_pool_and_earn_credit()
    {
        LinkOptions options = Options with { Credits = 1 };
        (IActorRef listener, IPEndPoint endpoint) = StartListener(options);
        IActorRef receiver = Sys.ActorOf(Props.Create<Uninterested>());
        listener.Tell(new LinkListenerActor.Register(Address, receiver));
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(options, endpoint, Address, owner));
        LinkUp up = owner.ExpectMsg<LinkUp>();

        for (int i = 0; i < 5; i++)
            link.Tell(RentStep(i));

        AwaitCondition(() => up.Statistics.FramesSent == 5, TimeSpan.FromSeconds(3));
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_link_must_count_what_it_does()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Options with { PingInterval = TimeSpan.FromMilliseconds(10) });
        TestProbe receiver = Register(listener);
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(Options with { PingInterval = TimeSpan.FromMilliseconds(10) }, endpoint, Address, owner));
        LinkStatistics sender = owner.ExpectMsg<LinkUp>().Statistics;
        LinkStatistics taker = receiver.ExpectMsg<LinkUp>().Statistics;

        link.Tell(RentStep(1, payloadFloats: 1000));
        receiver.ExpectMsg<StepFrame>().Release();

        AwaitCondition(() => sender.FramesSent == 1 && sender.RoundTrip > TimeSpan.Zero && taker.RoundTrip > TimeSpan.Zero, TimeSpan.FromSeconds(3));
        Assert.Equal(1, taker.FramesReceived);
        Assert.InRange(sender.BytesSent, 4001, 4100);
        Assert.Equal(sender.BytesSent, taker.BytesReceived);
        Assert.Equal(0, sender.QueuedFrames);
        AssertNoFrameIsLost();
    }

    private sealed class Uninterested : UntypedActor
    {
        protected override void OnReceive(object message) => Unhandled(message);
    }
}
