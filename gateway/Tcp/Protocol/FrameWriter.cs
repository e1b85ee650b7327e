using System.Buffers;
using System.Buffers.Binary;
using MessagePack;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>Encodes the message of one frame.</summary>
internal delegate void FrameEncoder<in T>(ref MessagePackWriter writer, T message);

/// <summary>Collects frames to be sent together.</summary>
internal sealed class FrameWriter
{
    private readonly ArrayBufferWriter<byte> _frame = new(256);
    private readonly ArrayBufferWriter<byte> _output = new(4096);

    /// <summary>What is to be sent.</summary>
    public ReadOnlyMemory<byte> Written => _output.WrittenMemory;

    /// <summary>Adds a frame.</summary>
    public void Add<T>(T message, FrameEncoder<T> encode)
    {
        _frame.ResetWrittenCount();
        var writer = new MessagePackWriter(_frame);
        encode(ref writer, message);
        writer.Flush();
        BinaryPrimitives.WriteInt32LittleEndian(_output.GetSpan(TcpProtocol.LengthBytes), _frame.WrittenCount);
        _output.Advance(TcpProtocol.LengthBytes);
        _output.Write(_frame.WrittenSpan);
    }

    /// <summary>Forgets what was sent.</summary>
    public void Clear() => _output.ResetWrittenCount();
}
