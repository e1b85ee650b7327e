using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Slices;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>What nodes offer, what placement decides, and what replicas report.</summary>
public static class PlacementMessages
{
    /// <summary>A device that a node offers.</summary>
    /// <param name="Index">Its number on the node.</param>
    /// <param name="Name">Its name for people.</param>
    /// <param name="MemoryBytes">Bytes that a slice may use.</param>
    /// <param name="BytesPerSecond">Rate at which it reads weights, as measured or promised by its driver; plans compare devices by it.</param>
    /// <param name="Kind">How it keeps what is put on it.</param>
    [MessagePackObject]
    public sealed record DeviceOffer(
        [property: Key(0)] int Index, [property: Key(1)] string Name, [property: Key(2)] long MemoryBytes,
        [property: Key(3)] double BytesPerSecond, [property: Key(4)] DeviceKind Kind = DeviceKind.Host);

    /// <summary>How much of the model a node has that was started without its files.</summary>
    /// <param name="HeldBytes">Bytes of the model that are in its copy.</param>
    /// <param name="ReceivedBytes">Bytes that came over the network since it started.</param>
    /// <param name="ModelBytes">Bytes of the whole model.</param>
    [MessagePackObject]
    public sealed record WeightsReport(
        [property: Key(0)] long HeldBytes, [property: Key(1)] long ReceivedBytes, [property: Key(2)] long ModelBytes);

    /// <summary>What a stage node offers: gossiped through the cluster's replicated data.</summary>
    /// <param name="Node">Its cluster address.</param>
    /// <param name="NodeUid">Its incarnation: a restarted process on the same port is another node.</param>
    /// <param name="DataHost">Host of its data endpoint.</param>
    /// <param name="DataPort">Port of its data endpoint.</param>
    /// <param name="OldestVersion">The oldest version of the link protocol that it speaks.</param>
    /// <param name="NewestVersion">The newest version of the link protocol that it speaks.</param>
    /// <param name="Fingerprint">Fingerprint of the model that it has.</param>
    /// <param name="Devices">Its devices.</param>
    /// <param name="Weights">What it has of the model; null if it has the model's own files.</param>
    [MessagePackObject]
    public sealed record NodeOffer(
        [property: Key(0)] string Node, [property: Key(1)] long NodeUid, [property: Key(2)] string DataHost,
        [property: Key(3)] int DataPort, [property: Key(4)] int OldestVersion, [property: Key(5)] int NewestVersion,
        [property: Key(6)] string Fingerprint, [property: Key(7)] DeviceOffer[] Devices, [property: Key(8)] WeightsReport? Weights = null) : IClusterMessage;

    /// <summary>One stage of a replica's plan.</summary>
    /// <param name="Node">Cluster address of its node.</param>
    /// <param name="DataHost">Host of the node's data endpoint.</param>
    /// <param name="DataPort">Port of the node's data endpoint.</param>
    /// <param name="DeviceIndex">The device on that node.</param>
    /// <param name="DeviceName">Its name for people.</param>
    /// <param name="Slice">The part of the model.</param>
    [MessagePackObject]
    public sealed record StageAssignment(
        [property: Key(0)] string Node, [property: Key(1)] string DataHost, [property: Key(2)] int DataPort,
        [property: Key(3)] int DeviceIndex, [property: Key(4)] string DeviceName, [property: Key(5)] SliceRange Slice);

    /// <summary>To a replica: build this pipeline. Sent again now and then; an epoch that is not newer changes nothing.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The plan's epoch, larger than every earlier one of the replica.</param>
    /// <param name="Stages">Its stages, first to last; none when nothing fits.</param>
    /// <param name="Limits">Sizes.</param>
    /// <param name="Reason">Why there are no stages, with the numbers; otherwise what the plan answers, or nothing.</param>
    /// <param name="IsUrgent">Whether the present pipeline is known to be lost, so that nothing is to be waited for.</param>
    /// <param name="IsRepeated">Whether it was sent before: a replica that does not know it has lost its memory.</param>
    [MessagePackObject]
    public sealed record AssignPlan(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] StageAssignment[] Stages,
        [property: Key(3)] StageMessages.ReplicaLimits Limits, [property: Key(4)] string Reason,
        [property: Key(5)] bool IsUrgent, [property: Key(6)] bool IsRepeated) : IReplicaMessage;

    /// <summary>To placement: this epoch of the replica is over; plan anew.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch that broke.</param>
    /// <param name="Served">Whether tokens had come out of it: what has never worked is not tried again at once.</param>
    /// <param name="Reason">Why.</param>
    [MessagePackObject]
    public sealed record ReplicaBroken(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] bool Served,
        [property: Key(3)] string Reason) : IClusterMessage;

    /// <summary>To placement: the replica has started without a memory, after it moved perhaps; it needs an epoch of its own.</summary>
    /// <param name="ReplicaId">The replica.</param>
    [MessagePackObject]
    public sealed record ReplicaStarted([property: Key(0)] string ReplicaId) : IClusterMessage;

    /// <summary>To placement: this epoch of the replica serves; what is left of older ones can be freed.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">The epoch.</param>
    [MessagePackObject]
    public sealed record ReplicaActive([property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch) : IClusterMessage;

    /// <summary>To placement: the node is about to leave; its slices must move.</summary>
    /// <param name="Node">Its cluster address.</param>
    [MessagePackObject]
    public sealed record NodeLeaving([property: Key(0)] string Node) : IClusterMessage;

    /// <summary>To a stage node: it cannot take part, and why.</summary>
    [MessagePackObject]
    public sealed record NodeRefused([property: Key(0)] string Reason) : IClusterMessage;

    /// <summary>A stage as its replica sees it.</summary>
    /// <param name="Assignment">What it is.</param>
    /// <param name="State"><c>loading</c>, <c>ready</c>, <c>active</c> or <c>lost</c>.</param>
    /// <param name="LoadedFraction">Share of its weights that are loaded.</param>
    [MessagePackObject]
    public sealed record StageStatus(
        [property: Key(0)] StageAssignment Assignment, [property: Key(1)] string State, [property: Key(2)] double LoadedFraction);

    /// <summary>Published by a replica to the gateways, every second and on every change.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="Epoch">Its epoch.</param>
    /// <param name="State"><c>idle</c>, <c>loading</c>, <c>active</c> or <c>broken</c>.</param>
    /// <param name="Ready">Whether a real token has passed through it in this epoch.</param>
    /// <param name="Problem">Why it does not serve; empty when it does.</param>
    /// <param name="Stages">Its stages.</param>
    /// <param name="KvBlocks">KV blocks that it has.</param>
    /// <param name="KvBlocksUsed">KV blocks that running requests hold.</param>
    /// <param name="Running">Requests being computed.</param>
    /// <param name="Waiting">Requests in the queue.</param>
    /// <param name="QueueLimit">Requests that may wait.</param>
    /// <param name="TokensPerSecond">Tokens generated a second, over the last seconds.</param>
    /// <param name="GeneratedTokens">Tokens generated since it started.</param>
    /// <param name="StaleFrames">Frames of epochs that were over, which the replica has refused so far.</param>
    /// <param name="RowsReplayed">Rows that it has sent through the pipeline again.</param>
    [MessagePackObject]
    public sealed record ReplicaStatus(
        [property: Key(0)] string ReplicaId, [property: Key(1)] long Epoch, [property: Key(2)] string State,
        [property: Key(3)] bool Ready, [property: Key(4)] string Problem, [property: Key(5)] StageStatus[] Stages,
        [property: Key(6)] int KvBlocks, [property: Key(7)] int KvBlocksUsed, [property: Key(8)] int Running,
        [property: Key(9)] int Waiting, [property: Key(10)] int QueueLimit, [property: Key(11)] double TokensPerSecond,
        [property: Key(12)] long GeneratedTokens, [property: Key(13)] long StaleFrames, [property: Key(14)] long RowsReplayed = 0) : IClusterMessage;

    /// <summary>A stage node as placement sees it.</summary>
    /// <param name="Offer">What it offers.</param>
    /// <param name="Problem">Why it takes no part; empty when it can.</param>
    /// <param name="StaleFrames">Frames and commands of epochs that were over, which it has refused so far.</param>
    /// <param name="RowsComputed">Rows that its stages have computed so far.</param>
    /// <param name="RowsReused">Rows that came again, after a loss or of a prompt that was cached to its end, and that its stages still held.</param>
    [MessagePackObject]
    public sealed record NodeStatus(
        [property: Key(0)] NodeOffer Offer, [property: Key(1)] string Problem, [property: Key(2)] long StaleFrames,
        [property: Key(3)] long RowsComputed = 0, [property: Key(4)] long RowsReused = 0);

    /// <summary>Published by placement to the gateways.</summary>
    /// <param name="Nodes">Stage nodes.</param>
    /// <param name="ReplicaIds">The replicas of the present plan.</param>
    /// <param name="Reasons">The planner's reasons.</param>
    [MessagePackObject]
    public sealed record PlacementStatus(
        [property: Key(0)] NodeStatus[] Nodes, [property: Key(1)] string[] ReplicaIds, [property: Key(2)] string[] Reasons) : IClusterMessage;
}
