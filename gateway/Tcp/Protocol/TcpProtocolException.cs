namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>Bytes on a TCP connection that break the protocol; the connection ends.</summary>
public sealed class TcpProtocolException : Exception
{
    /// <summary>Creates the exception.</summary>
    public TcpProtocolException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception around the error of the reader.</summary>
    public TcpProtocolException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
