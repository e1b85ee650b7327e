using System.Text;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Links;

/// <summary>How a node links to others. The same for its listener and its links.</summary>
public sealed record LinkOptions
{
    /// <summary>Name of the cluster: both sides must have the same.</summary>
    public required string ClusterName { get; init => field = Name(value); }

    /// <summary>Fingerprint of the model: both sides must have the same.</summary>
    public required string ModelFingerprint { get; init => field = Name(value); }

    /// <summary>Where received frames come from.</summary>
    public required FramePool Pool { get; init; }

    /// <summary>The cluster's shared secret, which each side proves to the other; empty for none, which both sides must agree in.</summary>
    public byte[] Secret { get; init; } = [];

    /// <summary>The node's certificates: every link is then encrypted and both sides show theirs; null for links without TLS.</summary>
    public TlsIdentity? Tls { get; init; }

    /// <summary>Where refused connections are counted; null to count them in the listener's statistics only.</summary>
    public RefusedPeers? Refused { get; init; }

    /// <summary>Longest payload that this node receives.</summary>
    public int MaxPayloadBytes { get; init => field = AtLeast(value, 1); } = 64 << 20;

    /// <summary>Frames that this node receives ahead: so many may be in flight to it, or with their receiver, on each link.</summary>
    public int Credits { get; init => field = Within(value, 1, FrameLimits.MaxCredits); } = 8;

    /// <summary>Frames that wait in a link for credit; one more takes it down.</summary>
    public int MaxQueuedFrames { get; init => field = AtLeast(value, 1); } = 64;

    /// <summary>Connections that may be in their handshake at one time; a listener closes what comes beyond.</summary>
    public int MaxPendingHandshakes { get; init => field = AtLeast(value, 1); } = 32;

    /// <summary>How long a dialer keeps trying.</summary>
    public TimeSpan ConnectDeadline { get; init => field = Positive(value); } = TimeSpan.FromSeconds(30);

    /// <summary>Pause between a dialer's attempts.</summary>
    public TimeSpan RetryDelay { get; init => field = Positive(value); } = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a handshake may take.</summary>
    public TimeSpan HandshakeDeadline { get; init => field = Positive(value); } = TimeSpan.FromSeconds(5);

    /// <summary>How often each side of a link pings the other.</summary>
    public TimeSpan PingInterval { get; init => field = Positive(value); } = TimeSpan.FromSeconds(1);

    /// <summary>A peer that sends nothing, or takes nothing, for so long is gone.</summary>
    public TimeSpan PingTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(5);

    /// <summary>Faults to inject, for tests.</summary>
    public ILinkFaults Faults { get; init; } = NoLinkFaults.Instance;

    private static string Name(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return Encoding.UTF8.GetByteCount(value) <= FrameLimits.MaxNameBytes && !value.Any(char.IsControl)
            ? value
            : throw new ArgumentException($"names have {FrameLimits.MaxNameBytes} UTF-8 bytes at most and no control characters");
    }

    private static int AtLeast(int value, int least) => Within(value, least, int.MaxValue);

    private static int Within(int value, int least, int most)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, least);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, most);
        return value;
    }

    private static TimeSpan Positive(TimeSpan value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.FromMilliseconds(1)); // a socket reads 0 as no timeout
        return value;
    }
}
