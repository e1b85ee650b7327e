namespace Llama3Cluster.Actors.Protocol;

/// <summary>What a reader accepts from the wire before it believes a number.</summary>
/// <param name="MaxHeaderBytes">Longest header.</param>
/// <param name="MaxPayloadBytes">Longest payload.</param>
internal readonly record struct FrameLimits(int MaxHeaderBytes, int MaxPayloadBytes)
{
    /// <summary>Longest header of any frame. Every element of a header takes a byte or more, so it bounds all counts as well.</summary>
    public const int LargestHeader = 1 << 20;

    /// <summary>Slots of a replica, at most.</summary>
    public const int MaxSlots = 1 << 16;

    /// <summary>Stages of a replica, at most.</summary>
    public const int MaxStages = 1 << 16;

    /// <summary>Frames that a peer may grant as credit, at most.</summary>
    public const int MaxCredits = 1 << 16;

    /// <summary>UTF-8 bytes of a name (cluster, replica, fingerprint), at most.</summary>
    public const int MaxNameBytes = 256;

    /// <summary>UTF-8 bytes of a reason for people, at most.</summary>
    public const int MaxReasonBytes = 2048;

    /// <summary>Of a peer that has not proved the secret: its frames are small.</summary>
    public static FrameLimits Handshake { get; } = new(MaxHeaderBytes: 4096, MaxPayloadBytes: 0);
}
