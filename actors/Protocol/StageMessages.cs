using Akka.Actor;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Slices;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>What a replica and the hosts of its stages tell each other.</summary>
public static class StageMessages
{
    /// <summary>The largest step of a replica and the KV cache of its stages.</summary>
    /// <param name="MaxRows">Most rows of one step.</param>
    /// <param name="MaxSequences">Most sequences at one time.</param>
    /// <param name="ContextLength">Most positions of one sequence.</param>
    /// <param name="KvBlocks">KV blocks of each stage.</param>
    /// <param name="KvFormat">How keys and values are stored.</param>
    /// <param name="Activations">How the residual stream travels between stages.</param>
    [MessagePackObject]
    public sealed record ReplicaLimits(
        [property: Key(0)] int MaxRows, [property: Key(1)] int MaxSequences, [property: Key(2)] int ContextLength,
        [property: Key(3)] int KvBlocks, [property: Key(4)] KvFormat KvFormat, [property: Key(5)] ActivationFormat Activations);

    /// <summary>
    /// To a stage host: load this slice and stand by for the epoch. What serves an older epoch goes on until <see cref="ConnectStage"/>
    /// comes, if memory holds both; from now on the host takes nothing older from the replica.
    /// </summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">Its new epoch.</param>
    /// <param name="Stage">Number of the stage, from 0.</param>
    /// <param name="DeviceIndex">The device on the host's node.</param>
    /// <param name="Slice">The part of the model.</param>
    /// <param name="Limits">Sizes.</param>
    /// <param name="Replica">Whom to answer.</param>
    [MessagePackObject]
    public sealed record PrepareStage(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage,
        [property: Key(3)] int DeviceIndex, [property: Key(4)] SliceRange Slice, [property: Key(5)] ReplicaLimits Limits,
        [property: Key(6)] IActorRef Replica) : IClusterMessage;

    /// <summary>To the replica: the stage's weights load.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch it was prepared for.</param>
    /// <param name="Stage">Number of the stage.</param>
    /// <param name="Fraction">Share that is loaded, 0 to 1.</param>
    [MessagePackObject]
    public sealed record StageLoading(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage,
        [property: Key(3)] double Fraction) : IReplicaMessage;

    /// <summary>To the replica: the stage is loaded and its node's data endpoint takes links for it.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch it was prepared for.</param>
    /// <param name="Stage">Number of the stage.</param>
    /// <param name="DataHost">Host of the data endpoint.</param>
    /// <param name="DataPort">Port of the data endpoint.</param>
    [MessagePackObject]
    public sealed record StagePrepared(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage,
        [property: Key(3)] string DataHost, [property: Key(4)] int DataPort) : IReplicaMessage;

    /// <summary>To a stage host: begin the epoch that the stage stands by for, and connect it to where its results go.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch.</param>
    /// <param name="Stage">Number of the stage.</param>
    /// <param name="NextStage">Number of the next stage; -1 when the results are tokens for the replica.</param>
    /// <param name="NextNode">Cluster address of the node that the results go to.</param>
    /// <param name="DataHost">Host of that node's data endpoint.</param>
    /// <param name="DataPort">Port of that node's data endpoint.</param>
    [MessagePackObject]
    public sealed record ConnectStage(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage,
        [property: Key(3)] int NextStage, [property: Key(4)] string NextNode, [property: Key(5)] string DataHost,
        [property: Key(6)] int DataPort) : IClusterMessage;

    /// <summary>To the replica: the stage's way onward is up.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch.</param>
    /// <param name="Stage">Number of the stage.</param>
    [MessagePackObject]
    public sealed record StageConnected(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage) : IReplicaMessage;

    /// <summary>To the replica: the stage cannot go on in this epoch.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch.</param>
    /// <param name="Stage">Number of the stage.</param>
    /// <param name="Reason">Why, with the numbers.</param>
    [MessagePackObject]
    public sealed record StageFailed(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] int Stage,
        [property: Key(3)] string Reason) : IReplicaMessage;

    /// <summary>To a stage host: free the stages that it holds for epochs of the replica up to this one, and for none later.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The last epoch that ends.</param>
    [MessagePackObject]
    public sealed record RetireStages([property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch) : IClusterMessage;

    /// <summary>To a stage host: are you there? Answered with <see cref="HostAlive"/>.</summary>
    /// <param name="Number">Number of the question.</param>
    [MessagePackObject]
    public sealed record ProbeHost([property: Key(0)] long Number) : IClusterMessage;

    /// <summary>To whoever asked: the stage host is there.</summary>
    /// <param name="Node">Its cluster address.</param>
    /// <param name="Number">Number of the question.</param>
    /// <param name="StaleFrames">Frames and commands of epochs that were over, which the process has refused so far.</param>
    /// <param name="RowsComputed">Rows that its stages have computed so far.</param>
    /// <param name="RowsReused">Rows that came again, after a loss or of a prompt that was cached to its end, and that its stages still held.</param>
    /// <param name="Paths">What it has measured of the ways to other nodes; null if it measures none.</param>
    [MessagePackObject]
    public sealed record HostAlive(
        [property: Key(0)] string Node, [property: Key(1)] long Number, [property: Key(2)] long StaleFrames,
        [property: Key(3)] long RowsComputed = 0, [property: Key(4)] long RowsReused = 0, [property: Key(5)] PathReport[]? Paths = null) : IClusterMessage;

    /// <summary>How far a node is.</summary>
    /// <param name="Node">Its cluster address.</param>
    /// <param name="Seconds">Seconds that the activations of a small step take to it.</param>
    [MessagePackObject]
    public sealed record PathReport([property: Key(0)] string Node, [property: Key(1)] double Seconds);
}
