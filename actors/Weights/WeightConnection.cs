using System.Diagnostics;
using System.Net;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Files.Partial;

namespace Llama3Cluster.Actors.Weights;

/// <summary>A connection to a node that has the model, on the side that copies. Blocking; for one thread.</summary>
internal sealed class WeightConnection : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ILinkTransport _transport;
    private readonly FrameReader _reader;
    private readonly HeaderBuffer _header = new();

    private WeightConnection(ILinkTransport transport, FrameReader reader)
    {
        _transport = transport;
        _reader = reader;
    }

    /// <summary>Bytes that answers had as payload.</summary>
    public long ReceivedBytes { get; private set; }

    /// <summary>Connects and proves who this node is, as data links do.</summary>
    /// <exception cref="Exception">The source does not answer or does not want this node; the message says so.</exception>
    public static WeightConnection Dial(IPEndPoint source, LinkOptions options)
    {
        SocketTransport socket = SocketTransport.To(source);
        ILinkTransport transport = socket;
        try
        {
            socket.Connect();
            if (options.Tls is not null)
                transport = TlsLinkTransport.Dial(socket, options.Tls, options.HandshakeDeadline);
            FrameReader reader = LinkHandshake.Dial(transport, WeightProtocol.Address, options).Reader;
            reader.Limits = WeightProtocol.AnswerLimits;
            transport.SendTimeout = Patience;
            return new WeightConnection(transport, reader);
        }
        catch
        {
            transport.Dispose();
            throw;
        }
    }

    /// <summary>What the model consists of.</summary>
    public ModelDescription Describe()
    {
        Ask(new WeightRequest(WeightRequestKind.Describe, default));
        byte[] payload = new byte[_reader.PayloadLength];
        Receive(payload);
        return WeightProtocol.ReadDescription(payload);
    }

    /// <summary>The SHA-256 of each piece of an extent, one after the other.</summary>
    public byte[] Hashes(FileExtent extent)
    {
        Ask(new WeightRequest(WeightRequestKind.Hash, extent));
        byte[] hashes = new byte[WeightProtocol.HashBytesOf(extent)];
        Receive(hashes);
        return hashes;
    }

    /// <summary>The bytes of a piece, as long as the destination.</summary>
    public void Read(ModelPiece piece, Span<byte> destination)
    {
        Ask(new WeightRequest(WeightRequestKind.Read, new FileExtent(piece.File, piece.Offset, piece.Count)));
        Receive(destination);
    }

    public void Dispose() => _transport.Dispose();

    private void Ask(WeightRequest request)
    {
        WeightProtocol.Write(_header, request);
        _transport.Send(_header.Complete(payloadLength: 0), ArraySegment<byte>.Empty);
        _reader.Deadline = Stopwatch.GetTimestamp() + (long)(Patience.TotalSeconds * Stopwatch.Frequency);
        if (!_reader.ReadHeader())
            throw new EndOfStreamException("the source closed the connection");
        string problem = WeightProtocol.ReadAnswer(_reader.Header);
        if (problem.Length > 0)
            throw new ProtocolException($"the source will not give it: {problem}");
    }

    private void Receive(Span<byte> destination)
    {
        if (_reader.PayloadLength != destination.Length)
            throw new ProtocolException($"an answer of {_reader.PayloadLength} bytes to a request for {destination.Length}");
        _reader.ReadPayload(destination);
        ReceivedBytes += destination.Length;
    }
}
