namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>
/// The TCP protocol: frames of a little-endian 32-bit length and as many bytes of MessagePack. Each message is an array whose
/// first element is its number and whose length is fixed by that; a change of either is a new <see cref="Version"/>. The client
/// begins with a Hello. Requests are numbered by the client and share the connection.
/// </summary>
internal static class TcpProtocol
{
    /// <summary>The version that both sides of a connection must have.</summary>
    public const int Version = 1;

    /// <summary>Bytes before each frame.</summary>
    public const int LengthBytes = 4;

    /// <summary>Most bytes of the first frame, which comes before the client has shown its key.</summary>
    public const int MaxHelloBytes = 4096;
}
