using System.Net;
using Akka.Actor;
using Akka.Configuration;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>A node with a listener on loopback, and what tests do with it over and over.</summary>
public abstract class LinkTestKit : TestKit
{
    protected static readonly LinkAddress Address = new("replica-1", 7, 2);

    private static readonly Config Settings = ConfigurationFactory.ParseString("""
        llama3cluster.link-dispatcher { type = PinnedDispatcher }
        akka.loglevel = WARNING
        akka.log-dead-letters = off
        akka.test.single-expect-default = 30s # other tests keep all cores busy
        """);

    protected LinkTestKit()
        : base(Settings)
    {
        Options = new LinkOptions
        {
            ClusterName = "test",
            ModelFingerprint = "sha256:0123456789abcdef0123456789abcdef",
            Secret = "a secret of the cluster"u8.ToArray(),
            Pool = Pool,
            RetryDelay = TimeSpan.FromMilliseconds(5),
        };
    }

    internal FramePool Pool { get; } = new();

    internal LinkOptions Options { get; }

    internal static IPEndPoint AnyPort => new(IPAddress.Loopback, 0);

    protected static TimeSpan Soon => TimeSpan.FromMilliseconds(200);

    /// <summary>Starts a listener, and waits until it listens.</summary>
    internal (IActorRef Listener, IPEndPoint Endpoint) StartListener(LinkOptions? options = null)
    {
        TestProbe probe = CreateTestProbe();
        IActorRef listener = Sys.ActorOf(LinkListenerActor.Props(options ?? Options, AnyPort));
        listener.Tell(LinkListenerActor.GetEndpoint.Instance, probe);
        return (listener, probe.ExpectMsg<LinkListenerActor.Bound>().Endpoint);
    }

    /// <summary>A link that is up on both sides: the owner's frames come out at the receiver.</summary>
    internal (IActorRef Link, TestProbe Owner, TestProbe Receiver, IActorRef Listener) StartLink(LinkOptions? dialer = null, LinkOptions? listener = null)
    {
        (IActorRef listening, IPEndPoint endpoint) = StartListener(listener);
        TestProbe receiver = Register(listening);
        TestProbe owner = CreateTestProbe();
        IActorRef link = Sys.ActorOf(LinkActor.Props(dialer ?? Options, endpoint, Address, owner));
        Assert.Equal(Address, owner.ExpectMsg<LinkUp>().Address);
        Assert.Equal(Address, receiver.ExpectMsg<LinkUp>().Address);
        return (link, owner, receiver, listening);
    }

    /// <summary>A receiver that the listener knows when this returns.</summary>
    internal TestProbe Register(IActorRef listener)
    {
        TestProbe receiver = CreateTestProbe();
        listener.Tell(new LinkListenerActor.Register(Address, receiver));
        StatisticsOf(listener); // its answer comes after the registration
        return receiver;
    }

    /// <summary>Dials, and returns why there is no link.</summary>
    internal string ExpectNoLink(LinkOptions dialer, IPEndPoint endpoint)
    {
        TestProbe owner = CreateTestProbe();
        Sys.ActorOf(LinkActor.Props(dialer, endpoint, Address, owner));
        LinkDown down = owner.ExpectMsg<LinkDown>();
        Assert.Equal(Address, down.Address);
        return down.Reason;
    }

    internal LinkListenerActor.Statistics StatisticsOf(IActorRef listener)
    {
        TestProbe probe = CreateTestProbe();
        listener.Tell(LinkListenerActor.GetStatistics.Instance, probe);
        return probe.ExpectMsg<LinkListenerActor.Statistics>();
    }

    /// <summary>A step whose payload can be told from every other step's.</summary>
    internal StepFrame RentStep(long number, int payloadFloats = 0)
    {
        StepFrame frame = Pool.RentStep();
        frame.Step.Epoch = Address.Epoch;
        frame.Step.Number = number;
        frame.Step.Add(new SequenceRun { Slot = 1, Sequence = number }, [(int)number], []);
        frame.PreparePayload(4 * payloadFloats).Fill((byte)number);
        return frame;
    }

    /// <summary>Checks a step that <see cref="RentStep"/> made, and releases it.</summary>
    internal static void AssertStep(StepFrame frame, long number, int payloadFloats = 0)
    {
        Assert.Equal(number, frame.Step.Number);
        Assert.Equal(Address.Epoch, frame.Step.Epoch);
        Assert.Equal((int)number, frame.Step.Tokens[0]);
        Assert.Equal(4 * payloadFloats, frame.PayloadLength);
        Assert.Equal(-1, frame.Payload.IndexOfAnyExcept((byte)number));
        frame.Release();
    }

    /// <summary>Every frame is back in its pool, at once or as soon as actors that stop have let go of theirs.</summary>
    protected void AssertNoFrameIsLost() => AwaitCondition(() => Pool.Outstanding == 0, TimeSpan.FromSeconds(3));
}
