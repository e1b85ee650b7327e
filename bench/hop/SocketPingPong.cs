using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Llama3Cluster.Hop;

/// <summary>A bare socket with a blocking thread at either end: what the machine can do at best.</summary>
internal sealed class SocketPingPong : IPingPong
{
    private readonly Socket _near = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly Socket _far;
    private readonly Thread _echo;

    public SocketPingPong()
    {
        using var listener = new Socket(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        _near.Connect(listener.LocalEndPoint!);
        _far = listener.Accept();
        _far.NoDelay = true;
        _echo = new Thread(Echo) { IsBackground = true, Name = "echo" };
        _echo.Start();
    }

    public void Play(int bytes, double seconds, List<double> roundTrips)
    {
        byte[] payload = new byte[bytes];
        long end = Stopwatch.GetTimestamp() + (long)(seconds * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < end)
        {
            long start = Stopwatch.GetTimestamp();
            _near.Send(BitConverter.GetBytes(bytes));
            Send(_near, payload);
            Receive(_near, payload);
            roundTrips.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    public void Dispose()
    {
        _near.Dispose();
        _echo.Join();
        _far.Dispose();
    }

    // Each message begins with its length; the answer is the payload alone.
    private void Echo()
    {
        byte[] length = new byte[sizeof(int)], payload = [];
        while (Receive(_far, length))
        {
            int bytes = BitConverter.ToInt32(length);
            if (payload.Length != bytes)
                payload = new byte[bytes];
            if (!Receive(_far, payload))
                return;
            Send(_far, payload);
        }
    }

    private static void Send(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[socket.Send(bytes)..];
    }

    private static bool Receive(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count = socket.Receive(bytes);
            if (count == 0)
                return false;
            bytes = bytes[count..];
        }

        return true;
    }
}
