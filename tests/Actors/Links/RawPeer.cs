using System.Net;
using System.Net.Sockets;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>A peer that is no actor: it says what the test wants it to say.</summary>
internal sealed class RawPeer : IDisposable
{
    private RawPeer(SocketTransport transport)
    {
        Transport = transport;
        Transport.ReceiveTimeout = TimeSpan.FromSeconds(3);
        Reader = new FrameReader(transport);
    }

    public SocketTransport Transport { get; }

    public FrameReader Reader { get; private set; }

    public HeaderBuffer Output { get; } = new();

    /// <summary>Dials a listener.</summary>
    public static RawPeer Dial(IPEndPoint endpoint)
    {
        SocketTransport transport = SocketTransport.To(endpoint);
        transport.Connect();
        return new RawPeer(transport);
    }

    /// <summary>Dials a listener and proves the secret.</summary>
    public static RawPeer Link(IPEndPoint endpoint, LinkAddress address, LinkOptions options)
    {
        RawPeer peer = Dial(endpoint);
        peer.Reader = LinkHandshake.Dial(peer.Transport, address, options).Reader;
        peer.Transport.ReceiveTimeout = TimeSpan.FromSeconds(3);
        return peer;
    }

    /// <summary>Takes a dialer's connection.</summary>
    public static RawPeer Accept(Socket listening)
    {
        Socket socket = listening.Accept();
        return new RawPeer(new SocketTransport(socket, (IPEndPoint)socket.RemoteEndPoint!));
    }

    /// <summary>Takes a dialer's connection and lets it prove the secret.</summary>
    public static RawPeer AcceptLink(Socket listening, LinkAddress address, LinkOptions options)
    {
        RawPeer peer = Accept(listening);
        var registry = new LinkRegistry();
        registry.Add(address, Akka.Actor.ActorRefs.Nobody);
        peer.Reader = LinkHandshake.Accept(peer.Transport, options, registry).Link.Reader;
        peer.Transport.ReceiveTimeout = TimeSpan.FromSeconds(3);
        return peer;
    }

    /// <summary>A socket that listens on loopback.</summary>
    public static Socket Listen(int backlog = 16)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen(backlog);
        return socket;
    }

    /// <summary>Sends the header that was written to <see cref="Output"/>.</summary>
    public void Send(int payloadLength = 0) => Transport.Send(Output.Complete(payloadLength), ArraySegment<byte>.Empty);

    /// <summary>Sends bytes.</summary>
    public void Send(params byte[] bytes) => Transport.Send(bytes, ArraySegment<byte>.Empty);

    /// <summary>Sends a step.</summary>
    public void Send(StepFrame frame)
    {
        FrameCodec.WriteStep(Output, frame);
        Transport.Send(Output.Complete(frame.PayloadLength), frame.PayloadSegment);
        frame.Release();
    }

    /// <summary>Reads up to the next frame that is no ping, and says what kind it is.</summary>
    public FrameKind Read()
    {
        do
        {
            Assert.True(Reader.ReadHeader(), "the other side closed");
        }
        while (FrameCodec.KindOf(Reader.Header) == FrameKind.Ping);
        return FrameCodec.KindOf(Reader.Header);
    }

    /// <summary>The other side has closed, after whatever it said before.</summary>
    public void ExpectEnd()
    {
        byte[] rest = new byte[4096];
        try
        {
            while (Transport.Receive(rest) > 0)
            {
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.ConnectionReset)
        {
            // Closed before it had read everything that was sent.
        }
    }

    public void Dispose() => Transport.Dispose();
}
