namespace Llama3Cluster.Actors.Inference;

/// <summary>The cluster at a moment.</summary>
/// <param name="Model">Name of the served model.</param>
/// <param name="Ready">Whether a real token has passed through a pipeline and one is active now.</param>
/// <param name="Nodes">Members and what they offer.</param>
/// <param name="Replicas">Pipelines.</param>
/// <param name="Reasons">The planner's reasons for the present plan.</param>
public sealed record ClusterSnapshot(
    string Model, bool Ready, IReadOnlyList<NodeSnapshot> Nodes, IReadOnlyList<ReplicaSnapshot> Replicas, IReadOnlyList<string> Reasons)
{
    /// <summary>Frames and commands of epochs that were over, which nodes and replicas that are there now have refused.</summary>
    public long StaleFrames { get; init; }
}

/// <summary>A member of the cluster.</summary>
/// <param name="Address">Its cluster address, host:port.</param>
/// <param name="Roles">Its roles.</param>
/// <param name="Status">Its membership status; <c>unreachable</c> when it does not answer.</param>
/// <param name="Devices">What it offers.</param>
/// <param name="Problem">Why it takes no part (another model, say); null when it can.</param>
/// <param name="Weights">What it has of the model, if it was started without the model's files; null if it has them.</param>
public sealed record NodeSnapshot(
    string Address, IReadOnlyList<string> Roles, string Status, IReadOnlyList<DeviceSnapshot> Devices, string? Problem,
    WeightsSnapshot? Weights = null)
{
    /// <summary>Rows that its stages have computed since its process started.</summary>
    public long RowsComputed { get; init; }

    /// <summary>Rows that came to its stages again, after a loss or of a prompt that was cached to its end, and that they still held.</summary>
    public long RowsReused { get; init; }
}

/// <summary>How much of the model a node has that was started without its files.</summary>
/// <param name="HeldBytes">Bytes of the model in its cache.</param>
/// <param name="ReceivedBytes">Bytes that it fetched from other nodes since it started.</param>
/// <param name="ModelBytes">Bytes of the whole model.</param>
public sealed record WeightsSnapshot(long HeldBytes, long ReceivedBytes, long ModelBytes);

/// <summary>A device that a node offers.</summary>
/// <param name="Index">Its number on the node.</param>
/// <param name="Name">Its name.</param>
/// <param name="MemoryBytes">Bytes that a slice may use.</param>
public sealed record DeviceSnapshot(int Index, string Name, long MemoryBytes);

/// <summary>A pipeline.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Epoch">Its present epoch.</param>
/// <param name="State"><c>idle</c>, <c>loading</c>, <c>active</c> or <c>broken</c>.</param>
/// <param name="Stages">Its stages, first to last.</param>
/// <param name="KvBlocks">Blocks of 16 positions that its KV cache has.</param>
/// <param name="KvBlocksUsed">Blocks that running requests hold.</param>
/// <param name="Running">Requests being computed.</param>
/// <param name="Waiting">Requests in the queue.</param>
/// <param name="TokensPerSecond">Tokens generated a second, over the last seconds.</param>
/// <param name="GeneratedTokens">Tokens generated since it started.</param>
public sealed record ReplicaSnapshot(
    string Id, long Epoch, string State, IReadOnlyList<StageSnapshot> Stages, int KvBlocks, int KvBlocksUsed, int Running, int Waiting,
    double TokensPerSecond, long GeneratedTokens)
{
    /// <summary>Rows that were sent through the pipeline again, after losses or when blocks had run out.</summary>
    public long RowsReplayed { get; init; }
}

/// <summary>A stage of a pipeline.</summary>
/// <param name="Node">Address of its node.</param>
/// <param name="Device">Name of its device.</param>
/// <param name="FirstLayer">First layer.</param>
/// <param name="LastLayer">One past the last layer.</param>
/// <param name="HasEmbedding">Whether it holds the embedding.</param>
/// <param name="HasHead">Whether it holds the head.</param>
/// <param name="State"><c>loading</c>, <c>ready</c>, <c>active</c> or <c>lost</c>.</param>
/// <param name="LoadedFraction">Share of its weights that are loaded, 0 to 1.</param>
public sealed record StageSnapshot(
    string Node, string Device, int FirstLayer, int LastLayer, bool HasEmbedding, bool HasHead, string State, double LoadedFraction);
