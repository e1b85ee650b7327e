using System.Threading.Channels;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>A running answer. Enumerate it once; disposing of it early cancels it.</summary>
public sealed class Generation : IAsyncEnumerable<GenerationUpdate>, IAsyncDisposable
{
    private readonly Llama3ClusterClient _client;
    private readonly ClientMessage.Generate _message;
    private readonly TaskCompletionSource<int> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Not bounded, so that one slow reader does not hold the other answers; an answer's length bounds it.</summary>
    private readonly Channel<GenerationUpdate> _updates = Channel.CreateUnbounded<GenerationUpdate>();

    private ClientConnection? _sentOn;
    private GenerationResult? _result;
    private int _lastIndex = -1;

    internal Generation(Llama3ClusterClient client, ClientMessage.Generate message)
    {
        _client = client;
        _message = message;
    }

    /// <summary>Its name in the cluster; null at a gateway that cannot go on with answers of others.</summary>
    public string? Id { get; private set; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens => _started.Task.Result;

    /// <summary>How the answer ended, once the enumeration has.</summary>
    /// <exception cref="InvalidOperationException">It has not ended.</exception>
    public GenerationResult Result => _result ?? throw new InvalidOperationException("The answer has not ended yet.");

    internal Task Started => _started.Task;

    /// <inheritdoc/>
    public IAsyncEnumerator<GenerationUpdate> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        _updates.Reader.ReadAllAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);

    /// <summary>
    /// Cancels the answer. What came of it can still be read; it then ends with <see cref="EndReason.Cancelled"/>.
    /// </summary>
    public Task CancelAsync() => _client.CancelAsync(_message.Request);

    /// <summary>Gives the answer up: cancels it if it still runs, and ends the enumeration.</summary>
    public async ValueTask DisposeAsync()
    {
        await _client.ForgetAsync(_message.Request);
        _updates.Writer.TryComplete();
    }

    /// <summary>What asks a gateway for the answer: all of it, or what is not here yet.</summary>
    internal ClientMessage Request() => Id is null ? _message : new ClientMessage.Attach(_message.Request, Id, _lastIndex);

    /// <summary>Whether it has not been asked for on this connection; from now on it has.</summary>
    internal bool TryClaim(ClientConnection connection) => Interlocked.Exchange(ref _sentOn, connection) != connection;

    internal void OnStarted(int promptTokens, string? id)
    {
        Id ??= id;
        _started.TrySetResult(promptTokens);
    }

    internal void OnUpdate(GenerationUpdate update)
    {
        if (update.Token is { } token)
        {
            if (token.Index <= _lastIndex)
                return;
            _lastIndex = token.Index;
        }

        _updates.Writer.TryWrite(update);
    }

    internal void OnFinished(string rest, GenerationResult result)
    {
        if (rest.Length > 0)
            _updates.Writer.TryWrite(new GenerationUpdate(rest, null));
        _result = result;
        // A request that is cancelled in the queue ends without a start.
        _started.TrySetResult(result.PromptTokens);
        _updates.Writer.TryComplete();
    }

    internal void OnCancelled() => OnFinished(
        "", new GenerationResult(EndReason.Cancelled, _started.Task.IsCompletedSuccessfully ? PromptTokens : 0, _lastIndex + 1, null));

    internal void OnFailed(Exception error)
    {
        _started.TrySetException(error);
        _updates.Writer.TryComplete(error);
    }
}
