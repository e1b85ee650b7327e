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
        Presentation? presentation,
        GenerationStopwatch stopwatch)
    {
        if (presentation is null)
            GenerationStopwatch.Started(promptTokens);
        _stopwatch = stopwatch;
        Presentation = presentation;
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

    /// <summary>How the endpoint that began a resumed generation wrote it; null for a new one.</summary>
    public Presentation? Presentation { get; }

    /// <summary>Starts a generation; it is in a pipeline's queue when this returns.</summary>
    /// <exception cref="GenerationFailedException">The service refused it.</exception>
    public static Task<TextGeneration> StartAsync(
        IInferenceService service,
        GenerationRequest request,
        IReadOnlyList<string> stopStrings,
        CancellationToken cancellationToken) =>
        OpenAsync(
            service, request.Id, cancellation => service.GenerateAsync(request, cancellation), _ => (stopStrings, null), cancellationToken);

    /// <summary>Goes on with a generation that was begun before; it is read from its first token on.</summary>
    /// <exception cref="GenerationFailedException">There is none of that id and owner.</exception>
    public static Task<TextGeneration> ResumeAsync(
        IInferenceService service, string id, string owner, CancellationToken cancellationToken) =>
        OpenAsync(
            service,
            id,
            cancellation => service.ResumeAsync(id, owner, cancellation),
            started => Presentation.Read(started.Presentation) is var presentation ? (presentation.StopStrings, presentation) : default,
            cancellationToken);

    private static async Task<TextGeneration> OpenAsync(
        IInferenceService service,
        string id,
        Func<CancellationToken, IAsyncEnumerable<GenerationEvent>> open,
        Func<GenerationEvent.Started, (IReadOnlyList<string> StopStrings, Presentation? Presentation)> present,
        CancellationToken cancellationToken)
    {
        var cancellation = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var stopwatch = new GenerationStopwatch();
        IAsyncEnumerator<GenerationEvent>? events = null;
        try
        {
            events = open(cancellation.Token).GetAsyncEnumerator(cancellation.Token);
            GenerationEvent? first = await events.MoveNextAsync() ? events.Current : null;
            if (first is not GenerationEvent.Started started)
            {
                throw first is GenerationEvent.Failed failed
                    ? new GenerationFailedException(failed)
                    : new InvalidOperationException($"A generation began with {Describe(first)} instead of Started or Failed.");
            }

            (IReadOnlyList<string> stopStrings, Presentation? presentation) = present(started);
            var text = new TextStream(service.Model.Tokenizer, stopStrings);
            return new TextGeneration(id, started.PromptTokens, cancellation, events, text, presentation, stopwatch);
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
                    await StopAsync();
                    yield return new TextEvent.Finished("", true, true, tokens, token.CachedTokens);
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

    /// <summary>Ends the generation at a stop string, at once: its response may go on with other choices.</summary>
    private async Task StopAsync()
    {
        await _cancellation.CancelAsync();
        await _events.DisposeAsync();
    }
}
