using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>How a node without the model's files learns where they are.</summary>
public static class WeightMessages
{
    /// <summary>A node that gives the model's bytes to others: gossiped through the cluster's replicated data.</summary>
    /// <param name="Node">Its cluster address.</param>
    /// <param name="NodeUid">Its incarnation.</param>
    /// <param name="Host">Host of its weights endpoint.</param>
    /// <param name="Port">Port of its weights endpoint.</param>
    /// <param name="IsGateway">Whether it is a gateway: what its file says is what the cluster serves.</param>
    [MessagePackObject]
    public sealed record WeightSource(
        [property: Key(0)] string Node, [property: Key(1)] long NodeUid, [property: Key(2)] string Host, [property: Key(3)] int Port,
        [property: Key(4)] bool IsGateway) : IClusterMessage;

    /// <summary>To any node of the cluster, from one that is not in it yet: which model do you serve? Answered by <see cref="ModelOffer"/>.</summary>
    [MessagePackObject]
    public sealed record DescribeModel : IClusterMessage;

    /// <summary>The cluster's model.</summary>
    /// <param name="Name">Its name for people.</param>
    /// <param name="Fingerprint">Its fingerprint.</param>
    /// <param name="Sources">Who has its files; may be empty for a moment after a start.</param>
    [MessagePackObject]
    public sealed record ModelOffer(
        [property: Key(0)] string Name, [property: Key(1)] string Fingerprint, [property: Key(2)] WeightSource[] Sources) : IClusterMessage;
}
