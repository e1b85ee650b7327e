using System.Diagnostics;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

public class LinkFaultsTests : LinkTestKit
{
    [Fact]
    public void A_dropped_frame_must_not_arrive_and_cost_no_credit()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink(
            Options with { Faults = new Script(number => number < 20 ? new LinkFault(LinkFaultAction.Drop) : default) });

        for (int i = 0; i <= 20; i++)
            link.Tell(RentStep(i));

        AssertStep(receiver.ExpectMsg<StepFrame>(), 20);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_delayed_frame_must_arrive_later_and_in_order()
    {
        var delay = TimeSpan.FromMilliseconds(150);
        (IActorRef link, _, TestProbe receiver, _) = StartLink(
            Options with { Faults = new Script(number => number == 0 ? new LinkFault(LinkFaultAction.Delay, delay) : default) });

        long start = Stopwatch.GetTimestamp();
        link.Tell(RentStep(0));
        link.Tell(RentStep(1));

        AssertStep(receiver.ExpectMsg<StepFrame>(), 0);
        Assert.True(Stopwatch.GetElapsedTime(start) >= delay - TimeSpan.FromMilliseconds(10));
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_disconnecting_frame_must_take_the_link_down()
    {
        (IActorRef link, TestProbe owner, TestProbe receiver, _) = StartLink(
            Options with { Faults = new Script(number => number == 1 ? new LinkFault(LinkFaultAction.Disconnect) : default) });

        link.Tell(RentStep(0));
        link.Tell(RentStep(1));

        AssertStep(receiver.ExpectMsg<StepFrame>(), 0);
        receiver.ExpectMsg<LinkDown>();
        Assert.Contains("injected", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
        AssertNoFrameIsLost();
    }

    /// <summary>A fault for each frame by its number.</summary>
    private sealed class Script(Func<int, LinkFault> decide) : ILinkFaults
    {
        private int _frames;

        public LinkFault BeforeSend(LinkAddress address, FrameKind kind)
        {
            Assert.Equal(Address, address);
            Assert.Equal(FrameKind.Step, kind);
            return decide(_frames++);
        }
    }
}
