using System.Threading.Channels;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>What happens to one of a response's choices.</summary>
/// <param name="Choice">The choice's number.</param>
/// <param name="Event">What happens.</param>
internal readonly record struct ChoiceEvent(int Choice, TextEvent Event);

/// <summary>The generations of one response, read together.</summary>
internal sealed class ChoiceStream : IAsyncDisposable
{
    /// <summary>Events that may wait for a slow reader before the generations are held.</summary>
    private const int Capacity = 64;

    private readonly List<TextGeneration> _generations = [];
    private readonly CancellationTokenSource _cancellation;
    private Task _readers = Task.CompletedTask;

    private ChoiceStream(CancellationToken cancellationToken) =>
        _cancellation = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);

    /// <summary>Tokens of each choice's prompt.</summary>
    public IReadOnlyList<int> PromptTokens => [.. _generations.Select(generation => generation.PromptTokens)];

    /// <summary>Starts all choices; none is left running if one is refused.</summary>
    /// <exception cref="GenerationFailedException">One was refused.</exception>
    public static async Task<ChoiceStream> StartAsync(
        IInferenceService service,
        IEnumerable<GenerationRequest> requests,
        IReadOnlyList<string> stopStrings,
        CancellationToken cancellationToken)
    {
        var stream = new ChoiceStream(cancellationToken);
        try
        {
            foreach (GenerationRequest request in requests)
                stream._generations.Add(
                    await TextGeneration.StartAsync(service, request, stopStrings, stream._cancellation.Token));
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>Reads all choices to their ends, as their events come. Once.</summary>
    /// <exception cref="GenerationFailedException">One broke off.</exception>
    public async IAsyncEnumerable<ChoiceEvent> ReadAsync()
    {
        if (_generations is [TextGeneration only])
        {
            await foreach (TextEvent item in only.ReadAsync(_cancellation.Token))
                yield return new ChoiceEvent(0, item);
            yield break;
        }

        var channel = Channel.CreateBounded<ChoiceEvent>(Capacity);
        _readers = Task.WhenAll(_generations.Select((generation, choice) => ForwardAsync(generation, choice, channel.Writer)));
        Task completion = _readers.ContinueWith(_ => channel.Writer.TryComplete(), TaskScheduler.Default);
        await foreach (ChoiceEvent item in channel.Reader.ReadAllAsync(_cancellation.Token))
            yield return item;
        await completion;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _cancellation.CancelAsync();
        // An enumerator may only be disposed of when nobody reads from it.
        await _readers.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (TextGeneration generation in _generations)
            await generation.DisposeAsync();
        _cancellation.Dispose();
    }

    private async Task ForwardAsync(TextGeneration generation, int choice, ChannelWriter<ChoiceEvent> writer)
    {
        try
        {
            await foreach (TextEvent item in generation.ReadAsync(_cancellation.Token))
                await writer.WriteAsync(new ChoiceEvent(choice, item), _cancellation.Token);
        }
        catch (Exception error)
        {
            writer.TryComplete(error);
        }
    }
}
