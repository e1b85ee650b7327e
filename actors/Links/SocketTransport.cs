using System.Net;
using System.Net.Sockets;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// A plain TCP socket. Only blocking calls: one asynchronous call would put the socket into non-blocking mode for good, and
/// blocking calls would then be emulated, with allocations and a detour over the runtime's poll thread.
/// </summary>
internal sealed class SocketTransport : ILinkTransport
{
    private readonly Socket _socket;
    private readonly ArraySegment<byte>[] _gather = new ArraySegment<byte>[2];

    /// <summary>For a socket that is connected, or about to be.</summary>
    public SocketTransport(Socket socket, IPEndPoint peer)
    {
        _socket = socket;
        Peer = peer;
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        // The kernel's buffer sizes stay: it tunes them by the connection's bandwidth and delay as long as nobody fixes them.
    }

    public IPEndPoint Peer { get; }

    public TimeSpan ReceiveTimeout
    {
        set => _socket.ReceiveTimeout = Milliseconds(value);
    }

    public TimeSpan SendTimeout
    {
        set => _socket.SendTimeout = Milliseconds(value);
    }

    /// <summary>A transport that still has to <see cref="Connect"/>.</summary>
    public static SocketTransport To(IPEndPoint target) => new(new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp), target);

    /// <summary>Connects, for as long as the system tries or until another thread disposes.</summary>
    public void Connect() => _socket.Connect(Peer);

    public int Receive(Span<byte> destination) => _socket.Receive(destination, SocketFlags.None);

    public void Send(ArraySegment<byte> header, ArraySegment<byte> payload)
    {
        int sent = 0;
        if (payload.Count > 0) // an empty part would cost a send of its own, of no bytes, which moreover fails now and then
        {
            _gather[0] = header;
            _gather[1] = payload;
            sent = _socket.Send(_gather, SocketFlags.None);
            _gather[1] = default; // the payload's owner may drop it
        }

        // A gathering send takes everything unless it was interrupted; then the rest goes in pieces.
        SendRest(header, sent);
        SendRest(payload, sent - header.Count);
    }

    /// <summary>Sends all of the bytes.</summary>
    public void Send(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
            data = data[_socket.Send(data, SocketFlags.None)..];
    }

    public void Dispose()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both); // what was sent still arrives; a thread that waits in Receive wakes up
        }
        catch (SocketException)
        {
            // Not connected, or not any more.
        }
        catch (ObjectDisposedException)
        {
            // Disposed before.
        }

        _socket.Dispose();
    }

    private void SendRest(ArraySegment<byte> data, int sent)
    {
        for (sent = Math.Max(sent, 0); sent < data.Count;)
            sent += _socket.Send(data.AsSpan(sent), SocketFlags.None);
    }

    private static int Milliseconds(TimeSpan timeout) =>
        timeout == Timeout.InfiniteTimeSpan ? 0 : (int)Math.Clamp(Math.Ceiling(timeout.TotalMilliseconds), 1, int.MaxValue);
}
