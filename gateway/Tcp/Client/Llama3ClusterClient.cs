using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>How a client connects.</summary>
public sealed record ClientOptions
{
    /// <summary>The key to send; null when the gateway needs none.</summary>
    public string? ApiKey { get; init; }

    /// <summary>How to check the gateway's certificate; null connects without TLS.</summary>
    public SslClientAuthenticationOptions? Tls { get; init; }
}

/// <summary>
/// A client of a gateway's TCP endpoint. Safe to use from several threads; generations share the connection. What is not read
/// yet of an answer is kept in memory, at most one answer's tokens for each generation.
/// </summary>
public sealed class Llama3ClusterClient : IAsyncDisposable
{
    private const int MaxFrameBytes = 16 * 1024 * 1024;

    private readonly Stream _stream;
    private readonly ConcurrentDictionary<uint, Generation> _generations = new();
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<ModelDescription>> _models = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly FrameWriter _frames = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly FrameReader _reader;
    private Task _receiving = Task.CompletedTask;
    private volatile Exception? _end;
    private uint _lastRequest;

    private Llama3ClusterClient(Stream stream)
    {
        _stream = stream;
        _reader = new FrameReader(PipeReader.Create(stream));
    }

    /// <summary>Connects to a gateway.</summary>
    /// <exception cref="TcpProtocolException">
    /// The gateway refused the client: another version, or an API key that it does not know.
    /// </exception>
    public static async Task<Llama3ClusterClient> ConnectAsync(
        string host, int port, ClientOptions? options = null, CancellationToken cancellationToken = default)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream? stream = null;
        try
        {
            await socket.ConnectAsync(host, port, cancellationToken);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (options?.Tls is { } tls)
            {
                var encrypted = new SslStream(stream);
                stream = encrypted;
                await encrypted.AuthenticateAsClientAsync(tls, cancellationToken);
            }

            var client = new Llama3ClusterClient(stream);
            await client.GreetAsync(options?.ApiKey, cancellationToken);
            client._receiving = client.ReceiveAllAsync();
            return client;
        }
        catch
        {
            if (stream is not null)
                await stream.DisposeAsync();
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Asks for the model that is served.</summary>
    public async Task<ModelDescription> GetModelAsync(CancellationToken cancellationToken = default)
    {
        uint request = Interlocked.Increment(ref _lastRequest);
        var answer = new TaskCompletionSource<ModelDescription>(TaskCreationOptions.RunContinuationsAsynchronously);
        _models[request] = answer;
        try
        {
            await SendAsync(new ClientMessage.GetModel(request), cancellationToken);
            return await answer.Task.WaitAsync(cancellationToken);
        }
        finally
        {
            _models.TryRemove(request, out _);
        }
    }

    /// <summary>Starts an answer; it is in a pipeline's queue when this returns.</summary>
    /// <exception cref="GenerationException">The cluster refused it.</exception>
    /// <exception cref="IOException">The connection ended.</exception>
    public async Task<Generation> StartAsync(GenerationOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        uint request = Interlocked.Increment(ref _lastRequest);
        var generation = new Generation(this, request);
        _generations[request] = generation;
        try
        {
            await SendAsync(
                new ClientMessage.Generate(
                    request, options.Prompt, options.Sampling, options.MaxTokens, options.IgnoreEnd, options.StopStrings),
                cancellationToken);
            await generation.Started.WaitAsync(cancellationToken);
            return generation;
        }
        catch
        {
            await generation.DisposeAsync();
            throw;
        }
    }

    /// <summary>Generates an answer and yields it as it comes. Ending the enumeration early cancels it.</summary>
    /// <exception cref="GenerationException">The cluster refused it, or it broke off.</exception>
    /// <exception cref="IOException">The connection ended.</exception>
    public async IAsyncEnumerable<GenerationUpdate> GenerateAsync(
        GenerationOptions options, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await using Generation generation = await StartAsync(options, cancellationToken);
        await foreach (GenerationUpdate update in generation.WithCancellation(cancellationToken))
            yield return update;
    }

    /// <summary>Closes the connection; what still runs is cancelled.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _receiving;
        _closing.Dispose();
        _sending.Dispose();
    }

    /// <summary>Forgets a generation, and cancels it if it still runs.</summary>
    internal Task ForgetAsync(uint request) => _generations.TryRemove(request, out _) ? CancelAsync(request) : Task.CompletedTask;

    /// <summary>Asks the gateway to end a generation.</summary>
    internal async Task CancelAsync(uint request)
    {
        try
        {
            await SendAsync(new ClientMessage.Cancel(request), _closing.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The end of the connection cancels it too.
        }
    }

    private async Task GreetAsync(string? apiKey, CancellationToken cancellationToken)
    {
        await SendAsync(new ClientMessage.Hello(TcpProtocol.Version, apiKey), cancellationToken);
        ServerMessage? answer = await _reader.ReadAsync(ServerMessageCodec.Read, TcpProtocol.MaxHelloBytes, cancellationToken);
        switch (answer)
        {
            case ServerMessage.Welcome:
                break;
            case ServerMessage.Goodbye goodbye:
                throw new TcpProtocolException(goodbye.Reason);
            case null:
                throw new IOException("The gateway closed the connection: it may have as many as it takes.");
            default:
                throw new TcpProtocolException("The gateway's first message is not a Welcome.");
        }
    }

    private async Task SendAsync(ClientMessage message, CancellationToken cancellationToken)
    {
        await _sending.WaitAsync(cancellationToken);
        try
        {
            // The request is registered already, so either the receiver tells it of the end or it is seen here.
            if (_end is { } end)
                throw new IOException("The connection has ended.", end);
            _frames.Clear();
            _frames.Add(message, ClientMessageCodec.Write);
            // A frame cut off by a cancellation would garble every other one.
            await _stream.WriteAsync(_frames.Written, _closing.Token);
        }
        finally
        {
            _sending.Release();
        }
    }

    private async Task ReceiveAllAsync()
    {
        try
        {
            while (await _reader.ReadAsync(ServerMessageCodec.Read, MaxFrameBytes, _closing.Token) is { } message)
                Handle(message);
            End(new IOException("The gateway closed the connection."));
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or TcpProtocolException)
        {
            End(error);
        }

        await _stream.DisposeAsync();
    }

    private void Handle(ServerMessage message)
    {
        switch (message)
        {
            case ServerMessage.Model model when _models.TryGetValue(model.Request, out var answer):
                answer.TrySetResult(
                    new(model.Name, model.ContextLength, model.VocabularySize, model.HasChatFormat, model.Fingerprint));
                break;
            case ServerMessage.Started started when _generations.TryGetValue(started.Request, out Generation? generation):
                generation.OnStarted(started.PromptTokens);
                break;
            case ServerMessage.Token token when _generations.TryGetValue(token.Request, out Generation? generation):
                generation.OnUpdate(new(token.Text, new GeneratedToken(token.Index, token.Id, token.LogProb, token.Top)));
                break;
            case ServerMessage.Finished finished when _generations.TryRemove(finished.Request, out Generation? generation):
                generation.OnFinished(
                    finished.Text, new(finished.Reason, finished.PromptTokens, finished.GeneratedTokens, finished.CachedTokens));
                break;
            case ServerMessage.Failed failed when _generations.TryRemove(failed.Request, out Generation? generation):
                generation.OnFailed(new GenerationException(failed.Code, failed.Reason, failed.RetryAfterSeconds));
                break;
            case ServerMessage.Goodbye goodbye:
                throw new IOException(goodbye.Reason);
            default:
                // It is about a request that was given up.
                break;
        }
    }

    private void End(Exception reason)
    {
        _end = reason;
        foreach (Generation generation in _generations.Values)
            generation.OnFailed(new IOException("The connection ended before the answer.", reason));
        foreach (var answer in _models.Values)
            answer.TrySetException(new IOException("The connection ended before the answer.", reason));
    }
}
