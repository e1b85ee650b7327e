namespace Llama3Cluster.Actors.Protocol;

/// <summary>Why a listener refuses a link. The numbers are on the wire.</summary>
internal enum RefusalCode : byte
{
    /// <summary>No version in common.</summary>
    Version = 1,

    /// <summary>Another cluster.</summary>
    Cluster = 2,

    /// <summary>Only one side has a secret, or they differ.</summary>
    Secret = 3,

    /// <summary>Another model.</summary>
    Model = 4,

    /// <summary>Nobody is registered for the address. Worth another try.</summary>
    NotRegistered = 5,

    /// <summary>The address has a link already. Worth another try.</summary>
    Linked = 6,
}

/// <summary>A dialer introduces itself.</summary>
/// <param name="OldestVersion">Oldest protocol version it speaks.</param>
/// <param name="NewestVersion">Newest protocol version it speaks.</param>
/// <param name="Cluster">Its cluster.</param>
/// <param name="Replica">Replica of the receiver it wants.</param>
/// <param name="Epoch">Epoch of that replica.</param>
/// <param name="Stage">Stage of that replica, -1 for the replica itself.</param>
/// <param name="Fingerprint">Fingerprint of its model.</param>
/// <param name="HasSecret">Whether it will prove a secret and wants one proved.</param>
/// <param name="Nonce">Random bytes, new for every attempt.</param>
internal sealed record Hello(
    int OldestVersion, int NewestVersion, string Cluster, string Replica, long Epoch, int Stage, string Fingerprint, bool HasSecret,
    byte[] Nonce);

/// <summary>A listener asks for proof.</summary>
/// <param name="Version">The protocol version it chose.</param>
/// <param name="Nonce">Random bytes, new for every attempt.</param>
internal sealed record Challenge(int Version, byte[] Nonce);

/// <summary>A listener takes the link.</summary>
/// <param name="Credits">Frames that may be in flight.</param>
/// <param name="MaxPayloadBytes">Longest payload it takes.</param>
/// <param name="Proof">Its proof of the secret; empty without one.</param>
internal sealed record Welcome(int Credits, int MaxPayloadBytes, byte[] Proof);

/// <summary>A listener does not take the link.</summary>
/// <param name="Code">Why, for the dialer.</param>
/// <param name="Reason">Why, for people.</param>
internal sealed record Refused(RefusalCode Code, string Reason);
