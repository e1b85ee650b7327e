namespace Llama3Cluster.Actors.Protocol;

/// <summary>What a frame on a link says: the first element of its header.</summary>
public enum FrameKind : byte
{
    /// <summary>Dialer to listener: who I am, which receiver I want, a nonce.</summary>
    Hello = 1,

    /// <summary>Listener to dialer: the version and a nonce to prove the secret with.</summary>
    Challenge = 2,

    /// <summary>Dialer to listener: proof of the secret.</summary>
    Proof = 3,

    /// <summary>Listener to dialer: its own proof; frames may follow.</summary>
    Welcome = 4,

    /// <summary>Listener to dialer: no, and why.</summary>
    Refused = 5,

    /// <summary>A step and its activations.</summary>
    Step = 6,

    /// <summary>The tokens that a step sampled.</summary>
    Sampled = 7,

    /// <summary>Receiver to sender: so many frames more may be in flight.</summary>
    Credit = 8,

    /// <summary>Are you there?</summary>
    Ping = 9,

    /// <summary>The answer to a ping.</summary>
    Pong = 10,

    /// <summary>The last frame of a side that closes on purpose.</summary>
    Bye = 11,
}
