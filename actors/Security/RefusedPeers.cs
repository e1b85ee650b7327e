using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Actors.Security;

/// <summary>Why a connection was refused.</summary>
public enum RefusalKind
{
    /// <summary>It showed no certificate, or one of another authority, name or time.</summary>
    Certificate,

    /// <summary>It does not speak TLS, or broke the handshake off.</summary>
    Handshake,

    /// <summary>It said too little for too long.</summary>
    Timeout,

    /// <summary>Too many others were in their handshake.</summary>
    Crowded,

    /// <summary>It does not know the cluster's secret, or names another cluster.</summary>
    Secret,

    /// <summary>It does not speak the protocol of the port.</summary>
    Malformed,
}

/// <summary>
/// The strangers at a node's ports: counted in the metric <c>llama3cluster_refused_peers_total</c>, and each address logged once
/// for each port and kind, so that nobody can fill the log by knocking. For any thread.
/// </summary>
/// <param name="log">Where they are logged.</param>
public sealed class RefusedPeers(ILogger log)
{
    private const int MostRemembered = 1024;

    private static readonly Meter Meter = new("Llama3Cluster.Actors");

    private static readonly Counter<long> Refused = Meter.CreateCounter<long>(
        "llama3cluster.refused_peers", description: "Connections that were refused, by port (cluster, data, weights) and reason.");

    private readonly Lock _lock = new();
    private readonly HashSet<(IPAddress, string, RefusalKind)> _logged = [];
    private long _count;

    /// <summary>Connections that this node has refused.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>A connection was refused.</summary>
    /// <param name="port">Which port it came to, or which one was dialed: <c>cluster</c>, <c>data</c> or <c>weights</c>.</param>
    /// <param name="peer">The other end.</param>
    /// <param name="kind">The kind of reason.</param>
    /// <param name="reason">Why, for people.</param>
    public void Report(string port, IPEndPoint peer, RefusalKind kind, string reason)
    {
        Interlocked.Increment(ref _count);
        Refused.Add(1, new("port", port), new("reason", kind.ToString().ToLowerInvariant()));
        if (IsNew((peer.Address, port, kind)))
            log.LogWarning("refused {Peer} at the {Port} port: {Reason} (said once; the metric refused_peers counts them all)", peer, port, reason);
        else
            log.LogDebug("refused {Peer} at the {Port} port: {Reason}", peer, port, reason);
    }

    private bool IsNew((IPAddress, string, RefusalKind) refusal)
    {
        lock (_lock)
        {
            if (_logged.Count >= MostRemembered)
                _logged.Clear();
            return _logged.Add(refusal);
        }
    }
}
