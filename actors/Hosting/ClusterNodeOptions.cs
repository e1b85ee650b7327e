using System.Net;
using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Weights;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Actors.Hosting;

/// <summary>A device that this node offers to the cluster.</summary>
/// <param name="Index">Its number on the node.</param>
/// <param name="Device">The device; whoever made it disposes it after the node has stopped.</param>
/// <param name="MemoryBytes">Bytes that a slice may use: weights, KV cache and, on a GPU, what it computes in.</param>
/// <param name="BytesPerSecond">Rate at which it reads weights; the planner compares devices by it.</param>
public sealed record StageDevice(int Index, ComputeDevice Device, long MemoryBytes, double BytesPerSecond);

/// <summary>How replicas are built and how much they take; the same on every gateway.</summary>
public sealed record ReplicaSettings
{
    /// <summary>Pipelines to build at most; null as many as the devices hold.</summary>
    public int? Replicas { get; init; } = 1;

    /// <summary>Most rows of one step, that is the size of a prefill chunk.</summary>
    public int MaxRows { get; init; } = 256;

    /// <summary>Most sequences computed at one time.</summary>
    public int MaxSequences { get; init; } = 64;

    /// <summary>Most requests in a replica's queue; the next one is refused with 429.</summary>
    public int MaxWaiting { get; init; } = 256;

    /// <summary>Most positions of one sequence.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Most cached positions of a replica; null gives every sequence its whole context, as far as memory reaches.</summary>
    public int? KvTokens { get; init; }

    /// <summary>How keys and values are stored.</summary>
    public KvFormat KvFormat { get; init; } = KvFormat.F16;

    /// <summary>How the residual stream travels between stages.</summary>
    public ActivationFormat Activations { get; init; } = ActivationFormat.F32;

    /// <summary>How long requests wait for a pipeline that is being built or rebuilt.</summary>
    public TimeSpan UnavailableAfter { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>What a process needs to be a node of the cluster.</summary>
public sealed record ClusterNodeOptions
{
    /// <summary>Name of the actor system; nodes of another name do not join.</summary>
    public string ClusterName { get; init; } = "llama3cluster";

    /// <summary>Where the cluster's control messages arrive. Port 0 takes a free one.</summary>
    public IPEndPoint Cluster { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>Where the data links of the pipelines arrive. Port 0 takes a free one.</summary>
    public IPEndPoint Data { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>Where nodes without the model's files fetch them; null for the host of <see cref="Data"/> and a free port.</summary>
    public IPEndPoint? Weights { get; init; }

    /// <summary>Where other nodes reach <see cref="Cluster"/>, if that differs (behind a proxy or an address translation).</summary>
    public IPEndPoint? AdvertisedCluster { get; init; }

    /// <summary>Where other nodes reach <see cref="Data"/>, if that differs.</summary>
    public IPEndPoint? AdvertisedData { get; init; }

    /// <summary>Cluster addresses (host:port) of nodes to join; none to found a cluster.</summary>
    public IReadOnlyList<string> Seeds { get; init; } = [];

    /// <summary>The secret that data links prove to each other; empty for none.</summary>
    public string Secret { get; init; } = "";

    /// <summary>The node's certificates, for mutual TLS on control messages and data links; null for neither.</summary>
    public TlsIdentity? Tls { get; init; }

    /// <summary>The model, opened; it must outlive the node.</summary>
    public required ModelFile Model { get; init; }

    /// <summary>The copy that <see cref="Model"/> is, with holes, of a node that was started without the model's files; null if it has them.</summary>
    public PartialModel? Partial { get; init; }

    /// <summary>Devices offered to the cluster; none for a pure gateway.</summary>
    public IReadOnlyList<StageDevice> Devices { get; init; } = [];

    /// <summary>What a gateway serves; null for a node that only computes.</summary>
    public ServedModel? Served { get; init; }

    /// <summary>How a gateway builds replicas; required with <see cref="Served"/>.</summary>
    public ReplicaSettings? Replicas { get; init; }

    /// <summary>Most bytes of outputs that each stage keeps, to send them again after another one was lost; 0 to compute every row again.</summary>
    public long ReplayLogBytes { get; init; } = 64L << 20;

    /// <summary>How long, and how many, answers a gateway keeps that nobody reads.</summary>
    public RetentionLimits Retention { get; init; } = RetentionLimits.Default;
}
