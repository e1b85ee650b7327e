using System.Net;
using Akka.Actor;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Weights;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>What the actors of one node share.</summary>
/// <param name="Options">The node's settings.</param>
/// <param name="Frames">Its frames.</param>
/// <param name="Links">Its links' settings.</param>
/// <param name="Listener">Its <see cref="LinkListenerActor"/>.</param>
/// <param name="DataEndpoint">Where that listens, as other nodes reach it.</param>
/// <param name="Loggers">Where its actors log.</param>
public sealed record NodeContext(
    ClusterNodeOptions Options, FramePool Frames, LinkOptions Links, IActorRef Listener, IPEndPoint DataEndpoint, ILoggerFactory Loggers)
{
    /// <summary>The nodes that have the model's files, as this one knows them now.</summary>
    public WeightSources Sources { get; } = new();

    /// <summary>Cluster address (host:port) of an actor system or a member.</summary>
    public static string AddressOf(Address address) => $"{address.Host}:{address.Port}";
}
