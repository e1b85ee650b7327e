using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using MessagePack;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>Decodes the message of one frame. It must take all of its bytes.</summary>
internal delegate T FrameDecoder<out T>(ref MessagePackReader reader);

/// <summary>Reads frames. A frame's claimed length only bounds it: memory is taken for bytes that came.</summary>
internal sealed class FrameReader(PipeReader input)
{
    /// <summary>Reads the next message; null at the end of the connection.</summary>
    /// <exception cref="TcpProtocolException">The frame is too long, cut off, or not such a message.</exception>
    public async ValueTask<T?> ReadAsync<T>(FrameDecoder<T> decode, int maxBytes, CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            ReadResult result = await input.ReadAsync(cancellationToken);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (TryTakeFrame(ref buffer, maxBytes, out ReadOnlySequence<byte> frame))
            {
                T message = Decode(decode, frame);
                input.AdvanceTo(buffer.Start);
                return message;
            }

            if (result.IsCompleted && buffer.IsEmpty)
                return null;
            if (result.IsCompleted)
                throw new TcpProtocolException($"The connection ended within a frame, after {buffer.Length} bytes of it.");
            input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    private static bool TryTakeFrame(ref ReadOnlySequence<byte> buffer, int maxBytes, out ReadOnlySequence<byte> frame)
    {
        frame = default;
        if (buffer.Length < TcpProtocol.LengthBytes)
            return false;
        Span<byte> prefix = stackalloc byte[TcpProtocol.LengthBytes];
        buffer.Slice(0, TcpProtocol.LengthBytes).CopyTo(prefix);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(prefix);
        if (length == 0 || length > (uint)maxBytes)
            throw new TcpProtocolException($"A frame has 1 to {maxBytes} bytes here, but one claims {length}.");
        if (buffer.Length - TcpProtocol.LengthBytes < length)
            return false;
        frame = buffer.Slice(TcpProtocol.LengthBytes, length);
        buffer = buffer.Slice(frame.End);
        return true;
    }

    private static T Decode<T>(FrameDecoder<T> decode, ReadOnlySequence<byte> frame)
    {
        try
        {
            var reader = new MessagePackReader(frame);
            T message = decode(ref reader);
            long rest = frame.Length - reader.Consumed;
            return rest == 0 ? message : throw new TcpProtocolException($"A message ends {rest} bytes before its frame.");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new TcpProtocolException(
                $"A frame of {frame.Length} bytes is not a MessagePack message of this protocol.", error);
        }
    }
}
