using System.Net;
using System.Security.Cryptography.X509Certificates;
using Llama3Cluster.Gateway.Security;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>Settings of the TCP endpoint.</summary>
public sealed class TcpEndpointOptions
{
    /// <summary>Where to listen; port 0 takes a free one.</summary>
    public required IPEndPoint EndPoint { get; init; }

    /// <summary>Keys of which a client must send one in its Hello; empty lets everybody in.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>The certificate with which connections are encrypted (TLS); null leaves them plain, for loopback.</summary>
    public X509Certificate2? ServerCertificate { get; init; }

    /// <summary>Most connections at a time; more are closed at once.</summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>Most requests that one connection may have running; more are refused.</summary>
    public int MaxRequestsPerConnection { get; init; } = 64;

    /// <summary>Most bytes of a frame that a client sends.</summary>
    public int MaxFrameBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Messages that may wait for a slow client before its generations are held.</summary>
    public int SendQueueCapacity { get; init; } = 256;

    /// <summary>Time for a client to say Hello.</summary>
    public TimeSpan HelloTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Time for a client to take what was sent; a connection that is stuck for longer is closed, for it holds KV memory.
    /// </summary>
    public TimeSpan SendTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <exception cref="ArgumentException">A setting cannot be used; the message names it.</exception>
    internal void Validate()
    {
        ApiKeySet.Validate(ApiKeys, nameof(ApiKeys));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxConnections, 1, nameof(MaxConnections));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRequestsPerConnection, 1, nameof(MaxRequestsPerConnection));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxFrameBytes, 1024, nameof(MaxFrameBytes));
        ArgumentOutOfRangeException.ThrowIfLessThan(SendQueueCapacity, 1, nameof(SendQueueCapacity));
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(HelloTimeout, TimeSpan.Zero, nameof(HelloTimeout));
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(SendTimeout, TimeSpan.Zero, nameof(SendTimeout));
    }
}
