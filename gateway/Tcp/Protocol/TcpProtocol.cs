namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>
/// The TCP protocol: frames of a little-endian 32-bit length and as many bytes of MessagePack. Each message is an array whose
/// first element is its number and whose length is fixed by that and the version; a change of either is a new version. The client
/// begins with a Hello that names the versions it speaks, and both sides use the newest that they share. Requests are numbered by
/// the client and share the connection.
/// </summary>
internal static class TcpProtocol
{
    /// <summary>The newest version that is spoken here.</summary>
    public const int Newest = 2;

    /// <summary>The oldest version that is spoken here.</summary>
    public const int Oldest = 1;

    /// <summary>The first version with answers that outlive their connection.</summary>
    public const int Resumption = 2;

    /// <summary>How a gateway of the first version, which knows no ranges, refuses a newer Hello.</summary>
    public const string OldRefusal = "Version 1 has no client message 1 of 4 elements";

    /// <summary>Bytes before each frame.</summary>
    public const int LengthBytes = 4;

    /// <summary>Most bytes of the first frame, which comes before the client has shown its key.</summary>
    public const int MaxHelloBytes = 4096;

    /// <summary>The newest version that the client speaks, too.</summary>
    /// <exception cref="TcpProtocolException">There is none.</exception>
    public static int Agree(int clientOldest, int clientNewest)
    {
        int version = Math.Min(Newest, clientNewest);
        return version >= Math.Max(Oldest, clientOldest)
            ? version
            : throw new TcpProtocolException(Mismatch("This gateway", clientOldest, clientNewest, "the client"));
    }

    /// <summary>Why there is no common version, and what to do.</summary>
    public static string Mismatch(string self, int peerOldest, int peerNewest, string peer) =>
        $"{self} speaks versions {Oldest} to {Newest}, but {peer} {peerOldest} to {peerNewest}: use a release of either that shares one.";
}
