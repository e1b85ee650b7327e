using System.Runtime.CompilerServices;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Metrics;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Text;

/// <summary>One running generation, turned into text and ended at stop strings.</summary>
internal sealed class TextGeneration : IAsyncDisposable
{
    private readonly CancellationTokenSource _cancellation;
    private readonly IAsyncEnumerator<GenerationEvent> _events;
    private readonly TextStream _text;
    private readonly GenerationStopwatch _stopwatch;

    private TextGeneration(
        string id,
        int promptTokens,
        CancellationTokenSource cancellation,
        IAsyncEnumerator<GenerationEvent> events,
        TextStream text,
        GenerationStopwatch stopwatch)
    {
        GenerationStopwatch.Started(promptTokens);
        _stopwatch = stopwatch;
        Id = id;
        PromptTokens = promptTokens;
        _cancellation = cancellation;
        _events = events;
        _text = text;
    }

    /// <summary>The request's name across the cluster.</summary>
    public string Id { get; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Starts a generation; it is in a pipeline's queue when this returns.</summary>
    /// <exception cref="GenerationFailedException">The service refused it.</exception>
    public static async Task<TextGeneration> StartAsync(
        IInferenceService service,
        GenerationRequest request,
        IReadOnlyList<string> stopStrings,
        CancellationToken cancellationToken)
    {
        var text = new TextStream(service.Model.Tokenizer, stopStrings);
        var cancellation = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var stopwatch = new GenerationStopwatch();
        IAsyncEnumerator<GenerationEvent>? events = null;
        try
        {
            events = service.GenerateAsync(request, cancellation.Token).GetAsyncEnumerator(cancellation.Token);
            GenerationEvent? first = await events.MoveNextAsync() ? events.Current : null;
            return first switch
            {
                GenerationEvent.Started started =>
                    new TextGeneration(request.Id, started.PromptTokens, cancellation, events, text, stopwatch),
                GenerationEvent.Failed failed => throw new GenerationFailedException(failed),
                _ => throw new InvalidOperationException(
                    $"A generation began with {Describe(first)} instead of Started or Failed."),
            };
        }
        catch (Exception error)
        {
            stopwatch.Fail(error);
            if (events is not null)
                await events.DisposeAsync();
            cancellation.Dispose();
            throw;
        }
    }

    /// <summary>Reads the answer, once.</summary>
    /// <exception cref="GenerationFailedException">It broke off.</exception>
    public async IAsyncEnumerable<TextEvent> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        int tokens = 0;
        while (await _events.MoveNextAsync())
        {
            cancellationToken.ThrowIfCancellationRequested();
            switch (_events.Current)
            {
                case GenerationEvent.TokenGenerated token:
                    tokens++;
                    _stopwatch.Token();
                    yield return new TextEvent.Token(token, _text.Append(token.Token.Token));
                    if (!_text.StopMatched)
                        break;
                    _stopwatch.End("stop");
                    yield return new TextEvent.Finished("", true, true, tokens, await CancelAsync());
                    yield break;
                case GenerationEvent.Finished { Reason: not FinishReason.Cancelled } finished:
                    string rest = _text.Flush();
                    bool stopped = _text.StopMatched || finished.Reason == FinishReason.EndToken;
                    _stopwatch.End(stopped ? "stop" : "length");
                    yield return new TextEvent.Finished(
                        rest, stopped, _text.StopMatched, finished.GeneratedTokens, finished.CachedTokens);
                    yield break;
                case GenerationEvent.Finished:
                    throw Failure(new(
                        FailureCode.Unavailable,
                        $"The cluster cancelled the answer after {tokens} tokens. Send the request again."));
                case GenerationEvent.Failed failed:
                    throw Failure(failed);
                default:
                    throw new InvalidOperationException($"A generation yielded {Describe(_events.Current)} after its start.");
            }
        }

        throw Failure(new(
            FailureCode.Failed, $"The answer broke off after {tokens} tokens without a reason. Send the request again."));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _stopwatch.End("cancelled");
        await _cancellation.CancelAsync();
        await _events.DisposeAsync();
        _cancellation.Dispose();
    }

    private GenerationFailedException Failure(GenerationEvent.Failed failure)
    {
        var error = new GenerationFailedException(failure);
        _stopwatch.Fail(error);
        return error;
    }

    private static string Describe(GenerationEvent? item) => item?.GetType().Name ?? "nothing";

    /// <summary>
    /// Ends the generation at a stop string. The service may still say how many prompt tokens were cached, or just end.
    /// </summary>
    private async Task<int?> CancelAsync()
    {
        await _cancellation.CancelAsync();
        try
        {
            while (await _events.MoveNextAsync())
            {
                if (_events.Current is GenerationEvent.Finished finished)
                    return finished.CachedTokens;
            }
        }
        catch (OperationCanceledException)
        {
            // The usual end of a cancelled enumeration.
        }

        return null;
    }
}
