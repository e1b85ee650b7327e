using Akka.Actor;
using Akka.Event;

namespace Llama3Cluster.Actors.Links;

// What a link's threads and timers tell its actor.
public sealed partial class LinkActor
{
    /// <summary>What a link has once it is up.</summary>
    private sealed record Connection(ILinkTransport Transport, LinkReader Reader, FrameWriter Writer, CreditWindow Window);

    /// <summary>To itself: the handshake is done.</summary>
    internal sealed record Established(EstablishedLink Link) : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From the dialer: the listener will not take the link.</summary>
    internal sealed record DialFailed(string Reason) : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From the reader: nothing more will come.</summary>
    internal sealed record ReadingEnded(string Reason) : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From the reader: a ping wants its answer.</summary>
    internal sealed record PongDue(long Id) : INoSerializationVerificationNeeded, IDeadLetterSuppression;

    /// <summary>From the reader: the peer granted credit.</summary>
    internal sealed record CreditArrived : INoSerializationVerificationNeeded, IDeadLetterSuppression
    {
        public static CreditArrived Instance { get; } = new();
    }

    /// <summary>From whoever released a frame: credit is due.</summary>
    internal sealed record FramesReleased : INoSerializationVerificationNeeded, IDeadLetterSuppression
    {
        public static FramesReleased Instance { get; } = new();
    }

    private sealed record PingDue : INoSerializationVerificationNeeded
    {
        public static PingDue Instance { get; } = new();
    }

    private sealed record ConnectDeadlinePassed : INoSerializationVerificationNeeded
    {
        public static ConnectDeadlinePassed Instance { get; } = new();
    }
}
