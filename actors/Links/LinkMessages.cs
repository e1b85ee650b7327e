using System.Net;
using Akka.Actor;
using Akka.Event;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// A link works. Told by the <see cref="LinkActor"/> to the owner of an outbound link, which may send frames before it, and to
/// the receiver of an inbound one.
/// </summary>
/// <param name="Address">Where the link leads.</param>
/// <param name="Peer">The other end of the socket.</param>
public sealed record LinkUp(LinkAddress Address, IPEndPoint Peer) : INoSerializationVerificationNeeded
{
    /// <summary>What the link counts, as long as it lives.</summary>
    public LinkStatistics Statistics { get; init; } = new();
}

/// <summary>
/// A link has ended, or never came about. Told once to whoever was told, or waits for, its <see cref="LinkUp"/>; frames that
/// were sent to the link and did not leave it have gone back to their pool.
/// </summary>
/// <param name="Address">Where the link led.</param>
/// <param name="Reason">Why, for people.</param>
public sealed record LinkDown(LinkAddress Address, string Reason) : INoSerializationVerificationNeeded, IDeadLetterSuppression;
