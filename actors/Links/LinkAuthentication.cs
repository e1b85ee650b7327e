using System.Security.Cryptography;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// Proofs that a side of a link knows the cluster's secret: an HMAC over the hello and the challenge as they went over the
/// wire, so that it holds for these nonces, this cluster, address, model and version only, and over the side's role, so that
/// a proof cannot be sent back to its maker.
/// </summary>
internal static class LinkAuthentication
{
    private static ReadOnlySpan<byte> DialerRole => "llama3cluster link dialer\0"u8;

    private static ReadOnlySpan<byte> ListenerRole => "llama3cluster link listener\0"u8;

    /// <summary>A nonce for one attempt.</summary>
    public static byte[] NewNonce() => RandomNumberGenerator.GetBytes(FrameCodec.NonceBytes);

    /// <summary>What the dialer proves itself with; empty without a secret.</summary>
    public static byte[] DialerProof(byte[] secret, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> challenge) =>
        Proof(secret, DialerRole, hello, challenge);

    /// <summary>What the listener proves itself with; empty without a secret.</summary>
    public static byte[] ListenerProof(byte[] secret, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> challenge) =>
        Proof(secret, ListenerRole, hello, challenge);

    /// <summary>Whether a proof is the expected one, in a time that does not tell where they differ.</summary>
    public static bool Matches(byte[] expected, byte[] actual) => CryptographicOperations.FixedTimeEquals(expected, actual);

    private static byte[] Proof(byte[] secret, ReadOnlySpan<byte> role, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> challenge)
    {
        if (secret.Length == 0)
            return [];

        using var mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secret);
        mac.AppendData(role);
        mac.AppendData(BitConverter.GetBytes(hello.Length)); // where one part ends and the next begins is part of the proof
        mac.AppendData(hello);
        mac.AppendData(challenge);
        return mac.GetHashAndReset();
    }
}
