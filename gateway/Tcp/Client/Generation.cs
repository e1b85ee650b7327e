using System.Threading.Channels;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>A running answer. Enumerate it once; disposing of it early cancels it.</summary>
public sealed class Generation : IAsyncEnumerable<GenerationUpdate>, IAsyncDisposable
{
    private readonly Llama3ClusterClient _client;
    private readonly uint _request;
    private readonly TaskCompletionSource<int> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Not bounded, so that one slow reader does not hold the other answers; an answer's length bounds it.</summary>
    private readonly Channel<GenerationUpdate> _updates = Channel.CreateUnbounded<GenerationUpdate>();

    private GenerationResult? _result;

    internal Generation(Llama3ClusterClient client, uint request)
    {
        _client = client;
        _request = request;
    }

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
    public Task CancelAsync() => _client.CancelAsync(_request);

    /// <summary>Gives the answer up: cancels it if it still runs, and ends the enumeration.</summary>
    public async ValueTask DisposeAsync()
    {
        await _client.ForgetAsync(_request);
        _updates.Writer.TryComplete();
    }

    internal void OnStarted(int promptTokens) => _started.TrySetResult(promptTokens);

    internal void OnUpdate(GenerationUpdate update) => _updates.Writer.TryWrite(update);

    internal void OnFinished(string rest, GenerationResult result)
    {
        if (rest.Length > 0)
            _updates.Writer.TryWrite(new GenerationUpdate(rest, null));
        _result = result;
        // A request that is cancelled in the queue ends without a start.
        _started.TrySetResult(result.PromptTokens);
        _updates.Writer.TryComplete();
    }

    internal void OnFailed(Exception error)
    {
        _started.TrySetException(error);
        _updates.Writer.TryComplete(error);
    }
}
