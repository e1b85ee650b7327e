using System.Text;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>Whom a link leads to: a stage of one epoch of a replica, or the replica itself.</summary>
/// <param name="Replica">The replica.</param>
/// <param name="Epoch">Its epoch.</param>
/// <param name="Stage">The stage that receives, from 0; <see cref="ReplicaStage"/> for the replica, which receives sampled tokens.</param>
public sealed record LinkAddress(string Replica, long Epoch, int Stage)
{
    /// <summary>The <see cref="Stage"/> that stands for the replica itself.</summary>
    public const int ReplicaStage = -1;

    /// <summary>For people.</summary>
    public override string ToString() =>
        Stage == ReplicaStage ? $"replica {Replica} epoch {Epoch}" : $"replica {Replica} epoch {Epoch} stage {Stage}";

    /// <summary>Refuses what could not travel in a handshake.</summary>
    internal void ThrowIfInvalid()
    {
        if (Encoding.UTF8.GetByteCount(Replica) > FrameLimits.MaxNameBytes || Replica.Any(char.IsControl))
            throw new ArgumentException($"a replica's name has {FrameLimits.MaxNameBytes} UTF-8 bytes at most and no control characters");
        ArgumentOutOfRangeException.ThrowIfNegative(Epoch);
        ArgumentOutOfRangeException.ThrowIfLessThan(Stage, ReplicaStage);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Stage, FrameLimits.MaxStages);
    }
}
