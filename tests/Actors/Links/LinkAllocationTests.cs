using System.Net;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Tests.Security;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Tests that measure the whole process, or need it, and so run while no other test does.</summary>
[CollectionDefinition(nameof(WholeProcess), DisableParallelization = true)]
public sealed class WholeProcess;

/// <summary>The hot path, from renting a frame over Tell, encoding, sending, receiving and decoding to its release, allocates nothing.</summary>
[Collection(nameof(WholeProcess))]
public class LinkAllocationTests : LinkTestKit
{
    private const int FramesPerWindow = 100;
    private const int MaxWindows = 300;
    private const int Rows = 8;
    private const int Width = 4096;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_decode_step_must_travel_without_allocating(bool encrypted)
    {
        byte[] activations = new byte[Rows * Width * sizeof(float)];
        long number = 0;
        AssertAllocatesNothing(() =>
        {
            StepFrame frame = Pool.RentStep();
            frame.Step.Epoch = Address.Epoch;
            frame.Step.Number = number++;
            for (int slot = 0; slot < Rows; slot++)
            {
                var run = new SequenceRun { Slot = slot, Sequence = 100 + slot, FirstPosition = (int)number, Samples = true, SampleIndex = (int)number };
                frame.Step.Add(run, [slot], [3 * slot]);
            }

            activations.CopyTo(frame.PreparePayload(activations.Length));
            return frame;
        }, encrypted);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sampled_tokens_must_travel_without_allocating(bool encrypted)
    {
        long number = 0;
        TokenLogProb[] top = [new(1, -1), new(2, -2), new(3, -3)];
        AssertAllocatesNothing(() =>
        {
            SampledFrame frame = Pool.RentSampled();
            frame.Tokens.Reset(Address.Epoch, number++);
            for (int slot = 0; slot < Rows; slot++)
                frame.Tokens.Add(slot, 100 + slot, (int)number, new TokenLogProb(slot, -0.5f), top);
            return frame;
        }, encrypted);
    }

    private void AssertAllocatesNothing(Func<PooledFrame> next, bool encrypted)
    {
        using var authority = new TestAuthority();
        LinkOptions options = Options with
        {
            PingInterval = TimeSpan.FromMinutes(1),
            PingTimeout = TimeSpan.FromMinutes(2),
            Tls = encrypted ? authority.Node() : null,
        };
        (IActorRef listener, IPEndPoint endpoint) = StartListener(options);
        using var inFlight = new SemaphoreSlim(options.Credits + 4); // some always wait for credit
        using var arrived = new CountdownEvent(1);
        IActorRef sink = Sys.ActorOf(Props.Create(() => new Sink(inFlight, arrived)));
        listener.Tell(new LinkListenerActor.Register(Address, sink));
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(options, endpoint, Address, owner));
        owner.ExpectMsg<LinkUp>();

        // The figure is the whole process's, and its other threads allocate: the test runner a little ten times a second, the
        // scheduler and a tier-up of the compiler now and then. What the path itself allocates would be in every window, so
        // the first window that is clean proves that it allocates nothing; windows are short so that there are clean ones on a
        // busy machine as well. Early windows warm up: pools, queues and their segments reach their size.
        long best = long.MaxValue;
        for (int window = 0; window < MaxWindows && best > 0; window++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            arrived.Reset(FramesPerWindow);
            for (int i = 0; i < FramesPerWindow; i++)
            {
                Assert.True(inFlight.Wait(TimeSpan.FromSeconds(5)));
                link.Tell(next(), ActorRefs.NoSender);
            }

            Assert.True(arrived.Wait(TimeSpan.FromSeconds(5)));
            best = Math.Min(best, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.Equal(0, best);
        AssertNoFrameIsLost();
    }

    private sealed class Sink(SemaphoreSlim inFlight, CountdownEvent arrived) : UntypedActor
    {
        protected override void OnReceive(object message)
        {
            if (message is not PooledFrame frame)
                return;
            frame.Release();
            inFlight.Release();
            arrived.Signal();
        }
    }
}
