using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Akka.Actor;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Partial;
using Microsoft.Win32.SafeHandles;

namespace Llama3Cluster.Actors.Weights;

/// <summary>
/// Gives a model's bytes to nodes that lack them, at a port of its own: requests of clients never wait for it. Few connections at
/// a time, a thread each; one piece at a time is read and hashed, so that serving keeps the disk and the cores.
/// </summary>
internal sealed class WeightServer : IDisposable
{
    /// <summary>What the port is called in the log and the metrics.</summary>
    public const string PortName = "weights";

    private const int MostConnections = 16;
    private static readonly TimeSpan Idle = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly ModelLayout _layout;
    private readonly SafeFileHandle[] _files;
    private readonly LinkOptions _options;
    private readonly SemaphoreSlim _disk = new(1);
    private readonly Lock _lock = new();
    private readonly HashSet<ILinkTransport> _open = [];
    private volatile bool _stopped;

    private WeightServer(Socket socket, ModelLayout layout, LinkOptions options)
    {
        _socket = socket;
        _layout = layout;
        _options = options;
        _files = [.. layout.Files.Select(file => File.OpenHandle(file.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite))];
        Endpoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Endpoint { get; }

    /// <summary>Binds and begins to serve.</summary>
    /// <param name="endpoint">Where; port 0 takes a free one.</param>
    /// <param name="model">The model, all of it.</param>
    /// <param name="options">How peers prove who they are: as on data links.</param>
    /// <exception cref="SocketException">The endpoint cannot be had.</exception>
    public static WeightServer Start(IPEndPoint endpoint, ModelFile model, LinkOptions options)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endpoint);
            socket.Listen();
            var server = new WeightServer(socket, model.Layout, options);
            new Thread(server.Accept) { IsBackground = true, Name = $"weights {server.Endpoint}" }.Start();
            return server;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _stopped = true;
        _socket.Dispose();
        lock (_lock)
        {
            foreach (ILinkTransport transport in _open)
                transport.Dispose();
        }

        foreach (SafeFileHandle file in _files)
            file.Dispose();
    }

    private void Accept()
    {
        while (!_stopped)
        {
            try
            {
                Socket socket = _socket.Accept();
                Admit(new SocketTransport(socket, (IPEndPoint)socket.RemoteEndPoint!));
            }
            catch (Exception) // out of file handles, perhaps, or a peer that has gone already
            {
                if (!_stopped)
                    Thread.Sleep(PauseAfterFailure);
            }
        }
    }

    private void Admit(SocketTransport socket)
    {
        lock (_lock)
        {
            if (!_stopped && _open.Count < MostConnections && _open.Add(socket))
            {
                new Thread(() => Serve(socket)) { IsBackground = true, Name = $"weights for {socket.Peer}", Priority = ThreadPriority.BelowNormal }.Start();
                return;
            }
        }

        socket.Dispose();
        Refuse(socket.Peer, RefusalKind.Crowded, $"{MostConnections} connections are open already");
    }

    private void Serve(SocketTransport socket)
    {
        try
        {
            if (Shake(socket) is (var transport, var reader))
                AnswerAll(transport, reader);
        }
        catch (ProtocolException error)
        {
            Refuse(socket.Peer, RefusalKind.Malformed, error.Message);
        }
        catch (Exception) // it went away, or asks no more; one that left the thread would end the process
        {
        }

        socket.Dispose();
        lock (_lock)
        {
            _open.Remove(socket);
        }
    }

    private (ILinkTransport Transport, FrameReader Reader)? Shake(SocketTransport socket)
    {
        try
        {
            ILinkTransport transport = _options.Tls is null ? socket : TlsLinkTransport.Accept(socket, _options.Tls, _options.HandshakeDeadline);
            var registry = new LinkRegistry();
            registry.Add(WeightProtocol.Address, ActorRefs.Nobody);
            FrameReader reader = LinkHandshake.Accept(transport, _options, registry).Link.Reader;
            reader.Limits = WeightProtocol.RequestLimits;
            transport.ReceiveTimeout = transport.SendTimeout = Idle;
            return (transport, reader);
        }
        catch (PeerRefusedException refusal)
        {
            Refuse(socket.Peer, refusal.Kind, refusal.Message);
        }
        catch (LinkRefusedException refusal) when (refusal.Code is RefusalCode.Secret or RefusalCode.Cluster)
        {
            Refuse(socket.Peer, RefusalKind.Secret, refusal.Message);
        }
        catch (Exception error) when (error is TimeoutException or SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            Refuse(socket.Peer, RefusalKind.Timeout, $"no handshake within {_options.HandshakeDeadline.TotalSeconds:0.#} s");
        }

        return null;
    }

    private void AnswerAll(ILinkTransport transport, FrameReader reader)
    {
        var header = new HeaderBuffer();
        byte[] piece = new byte[ModelPiece.MostBytes];
        while (reader.ReadHeader())
        {
            WeightRequest request = WeightProtocol.ReadRequest(reader.Header);
            (string problem, ArraySegment<byte> payload) = Answer(request, piece);
            WeightProtocol.WriteAnswer(header, problem);
            transport.Send(header.Complete(payload.Count), payload);
        }
    }

    private (string Problem, ArraySegment<byte> Payload) Answer(WeightRequest request, byte[] piece)
    {
        FileExtent extent = request.Extent;
        if (request.Kind == WeightRequestKind.Describe)
            return ("", WeightProtocol.Write(_layout));
        long most = request.Kind == WeightRequestKind.Read ? ModelPiece.MostBytes : WeightProtocol.MostHashedBytes;
        if (extent.File >= _layout.Files.Count || !WeightProtocol.IsInside(extent, _layout.Files[extent.File].Length) || extent.Count > most)
            return ($"{extent} is outside the model's {_layout.Files.Count} files, or longer than {most} bytes", ArraySegment<byte>.Empty);

        return request.Kind == WeightRequestKind.Read
            ? ReadPiece(new ModelPiece(extent.File, extent.Offset, (int)extent.Count), piece)
            : Hash(extent, piece);
    }

    private (string Problem, ArraySegment<byte> Payload) Hash(FileExtent extent, byte[] buffer)
    {
        var hashes = new byte[WeightProtocol.HashBytesOf(extent)];
        int done = 0;
        foreach (ModelPiece piece in ModelPiece.Cut(extent))
        {
            (string problem, ArraySegment<byte> bytes) = ReadPiece(piece, buffer);
            if (problem.Length > 0)
                return (problem, ArraySegment<byte>.Empty);
            SHA256.HashData(bytes, hashes.AsSpan(done));
            done += SHA256.HashSizeInBytes;
        }

        return ("", hashes);
    }

    private (string Problem, ArraySegment<byte> Payload) ReadPiece(ModelPiece piece, byte[] buffer)
    {
        _disk.Wait();
        try
        {
            int read = RandomAccess.Read(_files[piece.File], buffer.AsSpan(0, piece.Count), piece.Offset);
            return read == piece.Count
                ? ("", new ArraySegment<byte>(buffer, 0, read))
                : ($"{_layout.Files[piece.File].Name} ends {piece.Count - read} bytes too early", ArraySegment<byte>.Empty);
        }
        catch (IOException error)
        {
            return ($"{_layout.Files[piece.File].Name} cannot be read: {error.Message}", ArraySegment<byte>.Empty);
        }
        finally
        {
            _disk.Release();
        }
    }

    private void Refuse(IPEndPoint peer, RefusalKind kind, string reason) => _options.Refused?.Report(PortName, peer, kind, reason);
}
