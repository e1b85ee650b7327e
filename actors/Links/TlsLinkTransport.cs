using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// A socket under mutual TLS, used by blocking calls only. Small frames go out as one record, however many parts they have.
/// </summary>
internal sealed class TlsLinkTransport : ILinkTransport
{
    private const int RecordBytes = 16 << 10; // TLS's own limit

    private readonly SocketTransport _socket;
    private readonly SslStream _stream;
    private readonly byte[] _incoming = new byte[RecordBytes];
    private readonly byte[] _outgoing = new byte[RecordBytes];

    private TlsLinkTransport(SocketTransport socket, SslStream stream)
    {
        _socket = socket;
        _stream = stream;
    }

    public IPEndPoint Peer => _socket.Peer;

    public TimeSpan ReceiveTimeout
    {
        set => _socket.ReceiveTimeout = value;
    }

    public TimeSpan SendTimeout
    {
        set => _socket.SendTimeout = value;
    }

    /// <summary>Encrypts a connection that was accepted.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    /// <exception cref="TimeoutException">It took longer than it may.</exception>
    public static TlsLinkTransport Accept(SocketTransport socket, TlsIdentity identity, TimeSpan deadline) =>
        Shake(socket, deadline, stream => TlsHandshake.Accept(stream, identity));

    /// <summary>Encrypts a connection that was dialed; the peer's certificate must bear the address.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    /// <exception cref="TimeoutException">It took longer than it may.</exception>
    public static TlsLinkTransport Dial(SocketTransport socket, TlsIdentity identity, TimeSpan deadline) =>
        Shake(socket, deadline, stream => TlsHandshake.Dial(stream, socket.Peer.Address.ToString(), identity));

    public int Receive(Span<byte> destination)
    {
        // Through an array of its own: given a span, the stream would rent one.
        int count = Unwrapped(this, static (transport, most) => transport._stream.Read(transport._incoming, 0, most), Math.Min(destination.Length, RecordBytes));
        _incoming.AsSpan(0, count).CopyTo(destination);
        return count;
    }

    public void Send(ArraySegment<byte> header, ArraySegment<byte> payload)
    {
        if (header.Count > RecordBytes)
        {
            Write(header.Array!, header.Offset, header.Count);
            Write(payload.Array!, payload.Offset, payload.Count);
            return;
        }

        header.AsSpan().CopyTo(_outgoing);
        int first = Math.Min(RecordBytes - header.Count, payload.Count);
        payload.AsSpan(0, first).CopyTo(_outgoing.AsSpan(header.Count));
        Write(_outgoing, 0, header.Count + first);
        if (first < payload.Count)
            Write(payload.Array!, payload.Offset + first, payload.Count - first);
    }

    public void Dispose()
    {
        _socket.Dispose(); // first: it wakes a thread that waits in the stream
        _stream.Dispose();
    }

    private static TlsLinkTransport Shake(SocketTransport socket, TimeSpan deadline, Action<SslStream> handshake)
    {
        socket.SendTimeout = deadline;
        var inner = new SocketStream(socket) { Deadline = Stopwatch.GetTimestamp() + (long)(deadline.TotalSeconds * Stopwatch.Frequency) };
        var stream = new SslStream(inner);
        try
        {
            Unwrapped(handshake, static (handshake, stream) =>
            {
                handshake(stream);
                return 0;
            }, stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }

        inner.Deadline = null;
        return new TlsLinkTransport(socket, stream);
    }

    private void Write(byte[] data, int offset, int count) => Unwrapped(this, static (transport, part) =>
    {
        transport._stream.Write(part.Array!, part.Offset, part.Count);
        return 0;
    }, new ArraySegment<byte>(data, offset, count));

    // The stream wraps the socket's errors; a link tells them apart.
    private static int Unwrapped<TState, TArgument>(TState state, Func<TState, TArgument, int> action, TArgument argument)
    {
        try
        {
            return action(state, argument);
        }
        catch (IOException error) when (error.InnerException is SocketException or TimeoutException)
        {
            ExceptionDispatchInfo.Throw(error.InnerException);
            throw;
        }
    }

    /// <summary>The socket as the stream that TLS runs over.</summary>
    private sealed class SocketStream(SocketTransport socket) : Stream
    {
        /// <summary>When reading must be done, as a <see cref="Stopwatch"/> timestamp; null for no limit.</summary>
        public long? Deadline { get; set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(Span<byte> buffer)
        {
            if (Deadline is long deadline)
            {
                TimeSpan left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), deadline);
                socket.ReceiveTimeout = left > TimeSpan.Zero ? left : throw new TimeoutException("the TLS handshake took too long");
            }

            return socket.Receive(buffer);
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer) => socket.Send(buffer);

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
