namespace Llama3Cluster.Actors.Protocol;

/// <summary>What came over a wire, or was about to go out on it, breaks the protocol. The link that sees one goes down.</summary>
public sealed class ProtocolException : Exception
{
    /// <summary>With the offending numbers in the message.</summary>
    public ProtocolException(string message)
        : base(message)
    {
    }

    /// <summary>With what the decoder made of it.</summary>
    public ProtocolException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
