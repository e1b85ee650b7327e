using System.Buffers.Binary;
using System.Diagnostics;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>Cuts a link's byte stream into frames. Headers go through a small buffer; payloads mostly straight to where they belong.</summary>
internal sealed class FrameReader(ILinkTransport transport)
{
    private byte[] _buffer = new byte[16 << 10];
    private int _start;
    private int _end;
    private int _payloadLeft;
    private long _lastReceived = Stopwatch.GetTimestamp();

    /// <summary>What is accepted; narrow until the peer has proved who it is.</summary>
    public FrameLimits Limits { get; set; } = FrameLimits.Handshake;

    /// <summary>When reading must be done, as a <see cref="Stopwatch"/> timestamp; null for no limit.</summary>
    public long? Deadline { get; set; }

    /// <summary>Header of the current frame, valid until the next one.</summary>
    public ReadOnlyMemory<byte> Header { get; private set; }

    /// <summary>Bytes of the current frame's payload.</summary>
    public int PayloadLength { get; private set; }

    /// <summary>How long nothing has come from the peer. For any thread.</summary>
    public TimeSpan Silence => Stopwatch.GetElapsedTime(Volatile.Read(ref _lastReceived));

    /// <summary>Waits for the next frame's header; false if the peer has closed.</summary>
    public bool ReadHeader()
    {
        if (_payloadLeft != 0)
            throw new InvalidOperationException($"{_payloadLeft} bytes of the last frame's payload were not read");
        if (!Fill(HeaderBuffer.PrefixBytes))
            return false;

        uint headerLength = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(_start));
        uint payloadLength = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(_start + 4));
        if (headerLength == 0 || headerLength > Limits.MaxHeaderBytes)
            throw new ProtocolException($"a header of {headerLength} bytes: 1 to {Limits.MaxHeaderBytes} were expected");
        if (payloadLength > Limits.MaxPayloadBytes)
            throw new ProtocolException($"a payload of {payloadLength} bytes: {Limits.MaxPayloadBytes} are the most that this node takes");

        _start += HeaderBuffer.PrefixBytes;
        if (!Fill((int)headerLength))
            throw EndInsideFrame();
        Header = _buffer.AsMemory(_start, (int)headerLength);
        _start += (int)headerLength;
        PayloadLength = _payloadLeft = (int)payloadLength;
        return true;
    }

    /// <summary>Reads the current frame's payload, all of it.</summary>
    public void ReadPayload(Span<byte> destination)
    {
        if (destination.Length != _payloadLeft)
            throw new ArgumentException($"the payload has {_payloadLeft} bytes, not {destination.Length}");
        int buffered = Math.Min(_end - _start, destination.Length);
        _buffer.AsSpan(_start, buffered).CopyTo(destination);
        _start += buffered;
        for (destination = destination[buffered..]; !destination.IsEmpty;)
        {
            int count = Receive(destination);
            if (count == 0)
                throw EndInsideFrame();
            destination = destination[count..];
        }

        _payloadLeft = 0;
    }

    /// <summary>Waits until so many bytes lie in the buffer side by side; false if the stream ends before the first of them.</summary>
    private bool Fill(int count)
    {
        if (_start == _end)
            _start = _end = 0;
        if (_start + count > _buffer.Length)
            MakeRoom(count);
        while (_end - _start < count)
        {
            int received = Receive(_buffer.AsSpan(_end));
            if (received == 0)
                return _end == _start ? false : throw EndInsideFrame();
            _end += received;
        }

        return true;
    }

    private void MakeRoom(int count)
    {
        byte[] target = count > _buffer.Length ? new byte[Math.Max(count, 2 * _buffer.Length)] : _buffer;
        _buffer.AsSpan(_start, _end - _start).CopyTo(target);
        _buffer = target;
        _end -= _start;
        _start = 0;
    }

    private int Receive(Span<byte> destination)
    {
        if (Deadline is long deadline)
        {
            TimeSpan left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), deadline);
            transport.ReceiveTimeout = left > TimeSpan.Zero ? left : throw new TimeoutException("the handshake took too long");
        }

        int count = transport.Receive(destination);
        Volatile.Write(ref _lastReceived, Stopwatch.GetTimestamp());
        return count;
    }

    private static EndOfStreamException EndInsideFrame() => new("the connection was closed inside a frame");
}
