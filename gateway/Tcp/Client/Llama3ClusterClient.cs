using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Security.Authentication;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>How a client connects.</summary>
public sealed record ClientOptions
{
    /// <summary>The key to send; null when the gateway needs none.</summary>
    public string? ApiKey { get; init; }

    /// <summary>How to check the gateway's certificate; null connects without TLS.</summary>
    public SslClientAuthenticationOptions? Tls { get; init; }

    /// <summary>
    /// How long to try to reach a gateway again when the connection is lost. Answers that run go on where they were; zero ends
    /// them with an <see cref="IOException"/>.
    /// </summary>
    public TimeSpan ReconnectFor { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>
/// A client of the gateways' TCP endpoints. Safe to use from several threads; generations share the connection. When it is lost,
/// perhaps with its gateway, the client connects to the next gateway and goes on with the answers that run: what reads them sees
/// a pause. What is not read yet of an answer is kept in memory, at most one answer's tokens for each generation.
/// </summary>
public sealed class Llama3ClusterClient : IAsyncDisposable
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    private readonly IReadOnlyList<DnsEndPoint> _gateways;
    private readonly ClientOptions _options;
    private readonly ConcurrentDictionary<uint, Generation> _generations = new();
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<ModelDescription>> _models = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _lock = new();
    private TaskCompletionSource<ClientConnection> _connection = NewConnectionSource();
    private Task _running = Task.CompletedTask;
    private int _gateway;
    private uint _lastRequest;

    private Llama3ClusterClient(IReadOnlyList<DnsEndPoint> gateways, ClientOptions options)
    {
        _gateways = gateways;
        _options = options;
    }

    /// <summary>How often the client has connected again.</summary>
    public int Reconnections { get; private set; }

    /// <summary>Connects to a gateway.</summary>
    /// <exception cref="TcpProtocolException">
    /// The gateway refused the client: another version, or an API key that it does not know.
    /// </exception>
    public static Task<Llama3ClusterClient> ConnectAsync(
        string host, int port, ClientOptions? options = null, CancellationToken cancellationToken = default) =>
        ConnectAsync([new DnsEndPoint(host, port)], options, cancellationToken);

    /// <summary>Connects to the first of a cluster's gateways that answers; later, when it is lost, to the next one.</summary>
    /// <exception cref="TcpProtocolException">The last one refused the client.</exception>
    public static async Task<Llama3ClusterClient> ConnectAsync(
        IReadOnlyList<DnsEndPoint> gateways, ClientOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(gateways);
        if (gateways.Count == 0)
            throw new ArgumentException("Name at least one gateway.", nameof(gateways));
        var client = new Llama3ClusterClient(gateways, options ?? new ClientOptions());
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                ClientConnection connection = await client.OpenNextAsync(cancellationToken);
                client._connection.SetResult(connection);
                client._running = client.RunAsync(connection);
                return client;
            }
            catch (Exception error) when (IsLoss(error) && attempt < gateways.Count)
            {
                // The next one may answer.
            }
        }
    }

    /// <summary>Asks for the model that is served.</summary>
    /// <exception cref="IOException">No gateway answered.</exception>
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
    /// <exception cref="IOException">No gateway answered.</exception>
    public async Task<Generation> StartAsync(GenerationOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        uint request = Interlocked.Increment(ref _lastRequest);
        var message = new ClientMessage.Generate(
            request, options.Prompt, options.Sampling, options.MaxTokens, options.IgnoreEnd, options.StopStrings);
        var generation = new Generation(this, message);
        _generations[request] = generation;
        try
        {
            await SendAsync(message, cancellationToken, generation);
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
    /// <exception cref="IOException">No gateway answered.</exception>
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
        await _running;
        _closing.Dispose();
    }

    /// <summary>Forgets a generation, and cancels it if it still runs.</summary>
    internal Task ForgetAsync(uint request) => _generations.TryRemove(request, out _) ? CancelAsync(request) : Task.CompletedTask;

    /// <summary>Asks the gateway to end a generation.</summary>
    internal async Task CancelAsync(uint request)
    {
        Task<ClientConnection> connection = Connection();
        if (!connection.IsCompletedSuccessfully)
        {
            // Between two gateways: nobody computes it, and nobody will ask for it.
            if (_generations.TryRemove(request, out Generation? generation))
                generation.OnCancelled();
            return;
        }

        try
        {
            await connection.Result.SendAsync(new ClientMessage.Cancel(request), CancellationToken.None);
        }
        catch (Exception error) when (IsLoss(error))
        {
            // The end of the connection cancels it too.
        }
    }

    private static TaskCompletionSource<ClientConnection> NewConnectionSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static bool IsLoss(Exception error) =>
        error is IOException or SocketException or TcpProtocolException or AuthenticationException or ObjectDisposedException or TimeoutException;

    private Task<ClientConnection> Connection()
    {
        lock (_lock)
            return _connection.Task;
    }

    // A message that was not sent because the connection was lost is sent again with everything else on the next one.
    private async Task SendAsync(ClientMessage message, CancellationToken cancellationToken, Generation? generation = null)
    {
        ClientConnection connection = await Connection().WaitAsync(cancellationToken);
        if (generation?.TryClaim(connection) == false)
            return; // it was sent when the connection was made
        try
        {
            await connection.SendAsync(message, cancellationToken);
        }
        catch (IOException)
        {
            // Whoever waits for the answer hears of the next connection, or that there is none.
        }
    }

    private async Task<ClientConnection> OpenNextAsync(CancellationToken cancellationToken)
    {
        DnsEndPoint gateway = _gateways[_gateway++ % _gateways.Count];
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(ConnectTimeout);
        try
        {
            return await ClientConnection.OpenAsync(gateway, _options, timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"{gateway.Host}:{gateway.Port} did not answer within {ConnectTimeout.TotalSeconds:0} s.");
        }
    }

    private async Task RunAsync(ClientConnection connection)
    {
        while (true)
        {
            Exception loss = await connection.ReceiveAllAsync(Handle, _closing.Token);
            await connection.DisposeAsync();
            lock (_lock)
                _connection = NewConnectionSource();
            if (_closing.IsCancellationRequested || connection.Version < TcpProtocol.Resumption
                || await ReconnectAsync(loss) is not { } next)
            {
                End(loss);
                return;
            }

            connection = next;
        }
    }

    private async Task<ClientConnection?> ReconnectAsync(Exception loss)
    {
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < _options.ReconnectFor.TotalMilliseconds;)
        {
            try
            {
                ClientConnection connection = await OpenNextAsync(_closing.Token);
                if (connection.Version < TcpProtocol.Resumption)
                    throw new TcpProtocolException("the gateway cannot go on with answers of others", loss);
                foreach (Generation generation in _generations.Values.Where(generation => generation.TryClaim(connection)))
                    await connection.SendAsync(generation.Request(), _closing.Token);
                foreach (uint request in _models.Keys)
                    await connection.SendAsync(new ClientMessage.GetModel(request), _closing.Token);
                Reconnections++;
                lock (_lock)
                    _connection.SetResult(connection);
                return connection;
            }
            catch (OperationCanceledException)
            {
                return null;
            }
            catch (Exception error) when (IsLoss(error))
            {
                await Task.Delay(RetryPause);
            }
        }

        return null;
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
                generation.OnStarted(started.PromptTokens, started.Id);
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
            default:
                // It is about a request that was given up.
                break;
        }
    }

    private void End(Exception reason)
    {
        lock (_lock)
            _connection.SetException(new IOException("The connection has ended.", reason));
        _ = _connection.Task.Exception; // seen, whether or not anybody sends again
        foreach (Generation generation in _generations.Values)
            generation.OnFailed(new IOException("The connection ended before the answer.", reason));
        foreach (var answer in _models.Values)
            answer.TrySetException(new IOException("The connection ended before the answer.", reason));
    }
}
