using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>Sends frames, each in one call of the transport. For one thread.</summary>
internal sealed class FrameWriter(ILinkTransport transport)
{
    private readonly HeaderBuffer _header = new();

    /// <summary>Longest payload that the peer takes.</summary>
    public required int MaxPayloadBytes { get; init; }

    /// <summary>Sends a step or sampled tokens; how many bytes that took.</summary>
    public int Send(PooledFrame frame)
    {
        switch (frame)
        {
            case StepFrame step:
                if (step.PayloadLength > MaxPayloadBytes)
                {
                    throw new ProtocolException(
                        $"a payload of {step.PayloadLength} bytes is more than the {MaxPayloadBytes} that the peer takes: make the " +
                        "steps smaller or raise the peer's largest payload");
                }

                FrameCodec.WriteStep(_header, step);
                return Send(step.PayloadSegment);
            case SampledFrame sampled:
                FrameCodec.WriteSampled(_header, sampled.Tokens);
                return Send();
            default:
                throw new ArgumentException($"a link does not carry {frame.GetType().Name}");
        }
    }

    /// <summary>Sends a credit, a ping or a pong.</summary>
    public void Send(FrameKind kind, long number)
    {
        FrameCodec.WriteNumber(_header, kind, number);
        Send();
    }

    /// <summary>Sends the last frame.</summary>
    public void SendBye(string reason)
    {
        FrameCodec.WriteBye(_header, reason);
        Send();
    }

    private int Send(ArraySegment<byte> payload = default)
    {
        if (payload.Array is null)
            payload = ArraySegment<byte>.Empty;
        ArraySegment<byte> header = _header.Complete(payload.Count);
        transport.Send(header, payload);
        return header.Count + payload.Count;
    }
}
