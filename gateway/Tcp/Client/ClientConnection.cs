using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>One connection to one gateway.</summary>
internal sealed class ClientConnection : IAsyncDisposable
{
    private const int MaxFrameBytes = 16 * 1024 * 1024;

    private readonly Stream _stream;
    private readonly FrameReader _reader;
    private readonly FrameWriter _frames = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly CancellationTokenSource _closing = new();

    private ClientConnection(Stream stream)
    {
        _stream = stream;
        _reader = new FrameReader(PipeReader.Create(stream));
    }

    /// <summary>The version that both sides speak.</summary>
    public int Version { get; private set; }

    /// <summary>Connects and greets; with an older version if the gateway asks for one and the range allows it.</summary>
    /// <exception cref="TcpProtocolException">The gateway refused the client.</exception>
    public static async Task<ClientConnection> OpenAsync(DnsEndPoint gateway, ClientOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await OpenAsync(gateway, options, TcpProtocol.Newest, cancellationToken);
        }
        catch (TcpProtocolException error) when (error.Message.StartsWith(TcpProtocol.OldRefusal, StringComparison.Ordinal))
        {
            // A gateway of the first version knows no ranges.
            return await OpenAsync(gateway, options, TcpProtocol.Oldest, cancellationToken);
        }
    }

    /// <summary>Sends a message.</summary>
    /// <exception cref="IOException">The connection has ended.</exception>
    public async Task SendAsync(ClientMessage message, CancellationToken cancellationToken)
    {
        await _sending.WaitAsync(cancellationToken);
        try
        {
            _frames.Clear();
            _frames.Add(message, ClientMessageCodec.Write);
            // A frame cut off by a cancellation would garble every other one.
            await _stream.WriteAsync(_frames.Written, _closing.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException && !cancellationToken.IsCancellationRequested)
        {
            throw new IOException("The connection has ended.", error);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Handles what the gateway sends, to the end of the connection.</summary>
    /// <returns>Why it ended.</returns>
    public async Task<Exception> ReceiveAllAsync(Action<ServerMessage> handle, CancellationToken cancellationToken)
    {
        try
        {
            while (await _reader.ReadAsync(ServerMessageCodec.Read, MaxFrameBytes, cancellationToken) is { } message)
            {
                if (message is ServerMessage.Goodbye goodbye)
                    return new IOException(goodbye.Reason);
                handle(message);
            }

            return new IOException("The gateway closed the connection.");
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or TcpProtocolException)
        {
            return error;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _stream.DisposeAsync();
    }

    private static async Task<ClientConnection> OpenAsync(
        DnsEndPoint gateway, ClientOptions options, int version, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream? stream = null;
        try
        {
            await socket.ConnectAsync(gateway, cancellationToken);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (options.Tls is { } tls)
            {
                var encrypted = new SslStream(stream);
                stream = encrypted;
                await encrypted.AuthenticateAsClientAsync(tls, cancellationToken);
            }

            var connection = new ClientConnection(stream);
            await connection.GreetAsync(new ClientMessage.Hello(version, options.ApiKey, TcpProtocol.Oldest), cancellationToken);
            return connection;
        }
        catch
        {
            if (stream is not null)
                await stream.DisposeAsync();
            socket.Dispose();
            throw;
        }
    }

    private async Task GreetAsync(ClientMessage.Hello hello, CancellationToken cancellationToken)
    {
        await SendAsync(hello, cancellationToken);
        switch (await _reader.ReadAsync(ServerMessageCodec.Read, TcpProtocol.MaxHelloBytes, cancellationToken))
        {
            case ServerMessage.Welcome welcome when welcome.Version >= TcpProtocol.Oldest && welcome.Version <= hello.Newest:
                Version = welcome.Version;
                break;
            case ServerMessage.Welcome welcome:
                throw new TcpProtocolException(TcpProtocol.Mismatch("The client", welcome.Version, welcome.Version, "the gateway"));
            case ServerMessage.Goodbye goodbye:
                throw new TcpProtocolException(goodbye.Reason);
            case null:
                throw new IOException("The gateway closed the connection: it may have as many as it takes.");
            default:
                throw new TcpProtocolException("The gateway's first message is not a Welcome.");
        }
    }
}
