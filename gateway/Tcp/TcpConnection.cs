using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Threading.Channels;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Security;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>
/// One client's connection: reads its requests, serves them side by side, and sends what they yield in one queue.
/// </summary>
internal sealed class TcpConnection : IDisposable
{
    /// <summary>Bytes after which collected frames are sent even while more are at hand.</summary>
    private const int SendBatchBytes = 16 * 1024;

    private readonly Stream _stream;
    private readonly IInferenceService _service;
    private readonly ApiKeySet _keys;
    private readonly TcpEndpointOptions _options;
    private readonly GatewayDrain _drain;
    private readonly ILogger _logger;
    private readonly Channel<ServerMessage> _outgoing;
    private readonly ConcurrentDictionary<uint, CancellationTokenSource> _requests = new();
    private readonly HashSet<Task> _serving = [];
    private int _version = TcpProtocol.Oldest;
    private string _owner = "";

    /// <summary>Cancelled when nothing can be sent any more.</summary>
    private readonly CancellationTokenSource _lost = new();

    /// <summary>Cancelled when no request shall run any more.</summary>
    private readonly CancellationTokenSource _ending = new();

    public TcpConnection(
        Stream stream, IInferenceService service, ApiKeySet keys, TcpEndpointOptions options, GatewayDrain drain, ILogger logger)
    {
        _stream = stream;
        _service = service;
        _keys = keys;
        _options = options;
        _drain = drain;
        _logger = logger;
        _outgoing = Channel.CreateBounded<ServerMessage>(
            new BoundedChannelOptions(options.SendQueueCapacity) { SingleReader = true });
    }

    /// <summary>
    /// Serves until the client leaves, breaks the protocol or does not take what is sent, or the gateway stops.
    /// </summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        Task sending = SendAllAsync();
        string? farewell = await ReadAllAsync(stopping);
        await _ending.CancelAsync();
        await Task.WhenAll(Serving());
        if (farewell is not null)
            await SendIfTakenAsync(new ServerMessage.Goodbye(farewell));
        _outgoing.Writer.TryComplete();
        await sending;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _lost.Dispose();
        _ending.Dispose();
    }

    /// <summary>Reads to the end; gives the reason to tell the client, or null when it is gone.</summary>
    private async Task<string?> ReadAllAsync(CancellationToken stopping)
    {
        using var reading = CancellationTokenSource.CreateLinkedTokenSource(stopping, _drain.Closing, _lost.Token);
        var frames = new FrameReader(PipeReader.Create(_stream, new StreamPipeReaderOptions(leaveOpen: true)));
        try
        {
            if (!await GreetAsync(frames, reading.Token))
                return null;
            // A client that can go on elsewhere does so at once.
            using CancellationTokenRegistration handingOver = _version >= TcpProtocol.Resumption
                ? _drain.HandingOver.Register(reading.Cancel)
                : default;
            while (await frames.ReadAsync(ClientMessageCodec.Read, _options.MaxFrameBytes, reading.Token) is { } message)
                await HandleAsync(message);
            await _lost.CancelAsync();
            return null;
        }
        catch (TcpProtocolException error)
        {
            _logger.LogInformation("A TCP client broke the protocol: {Reason}", error.Message);
            return error.Message;
        }
        catch (OperationCanceledException) when (!_lost.IsCancellationRequested)
        {
            return "The gateway stops.";
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            await _lost.CancelAsync();
            return null;
        }
    }

    private async Task<bool> GreetAsync(FrameReader frames, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(_options.HelloTimeout);
        ClientMessage? first;
        try
        {
            first = await frames.ReadAsync(ClientMessageCodec.Read, TcpProtocol.MaxHelloBytes, timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TcpProtocolException($"No Hello came within {_options.HelloTimeout.TotalSeconds} s.");
        }

        switch (first)
        {
            case null:
                await _lost.CancelAsync();
                return false;
            case ClientMessage.Hello hello when !_keys.IsEmpty && (hello.ApiKey is null || !_keys.Contains(hello.ApiKey)):
                throw new TcpProtocolException(hello.ApiKey is null ? "An API key is needed." : "The API key is not known here.");
            case ClientMessage.Hello hello:
                _version = TcpProtocol.Agree(hello.Oldest, hello.Newest);
                _owner = _keys.OwnerOf(hello.ApiKey);
                await SendAsync(new ServerMessage.Welcome(_version));
                return true;
            default:
                throw new TcpProtocolException("The first message is not a Hello.");
        }
    }

    private async Task HandleAsync(ClientMessage message)
    {
        switch (message)
        {
            case ClientMessage.Generate generate:
                await StartAsync(generate.Request, generate);
                break;
            case ClientMessage.Attach attach when _version >= TcpProtocol.Resumption:
                await StartAsync(attach.Request, attach);
                break;
            case ClientMessage.Attach:
                throw new TcpProtocolException($"Attach came, which version {_version} does not have.");
            case ClientMessage.Cancel cancel:
                await CancelAsync(cancel.Request);
                break;
            case ClientMessage.GetModel get:
                await SendAsync(ModelMessage(get.Request));
                break;
            default:
                throw new TcpProtocolException("A second Hello came.");
        }
    }

    private ServerMessage.Model ModelMessage(uint request)
    {
        ServedModel model = _service.Model;
        bool chat = model.Tokenizer.HasChatFormat;
        return new(request, model.Name, model.ContextLength, model.Tokenizer.VocabularySize, chat, model.Fingerprint);
    }

    private async Task StartAsync(uint request, ClientMessage message)
    {
        if (_requests.ContainsKey(request))
            throw new TcpProtocolException($"Request {request} is still running.");
        if (_requests.Count >= _options.MaxRequestsPerConnection)
        {
            string reason = $"A connection has at most {_options.MaxRequestsPerConnection} requests running.";
            await SendAsync(new ServerMessage.Failed(request, FailureCode.QueueFull, reason, 1));
            return;
        }

        if (_drain.TryEnter() is not { } running)
        {
            await SendAsync(new ServerMessage.Failed(request, FailureCode.Unavailable, "This gateway is stopping; connect to another one.", 1));
            return;
        }

        var cancellation = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        _requests[request] = cancellation;
        Task serving = ServeAsync(request, message, cancellation, running);
        lock (_serving)
            _serving.Add(serving);
        _ = serving.ContinueWith(Forget, TaskScheduler.Default);
    }

    private async Task CancelAsync(uint request)
    {
        if (!_requests.TryGetValue(request, out CancellationTokenSource? cancellation))
            return;
        try
        {
            await cancellation.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // It ended at this moment.
        }
    }

    private async Task ServeAsync(uint request, ClientMessage message, CancellationTokenSource cancellation, IDisposable running)
    {
        using (running)
        using (cancellation)
        {
            bool resumable = _version >= TcpProtocol.Resumption;
            var serving = new TcpRequest(_service, request, _owner, resumable, SendAsync, _logger);
            ServerMessage end = await serving.ServeAsync(message, cancellation.Token);
            // Before the client hears of the end: it may use the number again at once.
            _requests.TryRemove(request, out _);
            // When the gateway ends the connection, the answer has not ended: the client goes on with it elsewhere.
            bool goesOn = resumable && _ending.IsCancellationRequested && end is ServerMessage.Finished { Reason: EndReason.Cancelled };
            if (!goesOn)
                await SendIfTakenAsync(end);
        }
    }

    private void Forget(Task serving)
    {
        lock (_serving)
            _serving.Remove(serving);
    }

    private Task[] Serving()
    {
        lock (_serving)
            return [.. _serving];
    }

    /// <summary>Queues a message; waits while the client does not read.</summary>
    /// <exception cref="OperationCanceledException">
    /// The connection is lost. The sender must learn it here: its own cancellation follows on another thread, which may be
    /// late, and until then it would make tokens for nobody.
    /// </exception>
    private async Task SendAsync(ServerMessage message) => await _outgoing.Writer.WriteAsync(message, _lost.Token);

    /// <summary>Queues a message after which nothing follows; drops it when the connection is lost.</summary>
    private async Task SendIfTakenAsync(ServerMessage message)
    {
        try
        {
            await SendAsync(message);
        }
        catch (OperationCanceledException)
        {
            // Nobody is there to be told.
        }
    }

    private async Task SendAllAsync()
    {
        var frames = new FrameWriter();
        try
        {
            while (await _outgoing.Reader.WaitToReadAsync(_lost.Token))
            {
                while (frames.Written.Length < SendBatchBytes && _outgoing.Reader.TryRead(out ServerMessage? message))
                    frames.Add(message, ServerMessageCodec.Write);
                using var timeout = CancellationTokenSource.CreateLinkedTokenSource(_lost.Token);
                timeout.CancelAfter(_options.SendTimeout);
                await _stream.WriteAsync(frames.Written, timeout.Token);
                frames.Clear();
            }
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            await _lost.CancelAsync();
        }
    }
}
