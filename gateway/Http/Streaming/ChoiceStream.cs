using System.Threading.Channels;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Security;
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

    /// <summary>How the response was begun; null when it is a new one.</summary>
    public Presentation? Presentation => _generations[0].Presentation;

    /// <summary>What the choices' texts begin with, as they were begun; null when prompts are not echoed.</summary>
    public IReadOnlyList<string>? Echoes =>
        Presentation?.Echo is null ? null : [.. _generations.Select(generation => generation.Presentation?.Echo ?? "")];

    /// <summary>Starts all choices; none is left running if one is refused.</summary>
    /// <exception cref="GenerationFailedException">One was refused.</exception>
    public static Task<ChoiceStream> StartAsync(
        IInferenceService service,
        IEnumerable<GenerationRequest> requests,
        IReadOnlyList<string> stopStrings,
        CancellationToken cancellationToken) =>
        OpenAsync(
            async stream =>
            {
                foreach (GenerationRequest request in requests)
                {
                    stream._generations.Add(
                        await TextGeneration.StartAsync(service, request, stopStrings, stream._cancellation.Token));
                }
            },
            cancellationToken);

    /// <summary>Goes on with all choices of a response that was begun before.</summary>
    /// <exception cref="GenerationFailedException">There is none of that id and owner.</exception>
    public static Task<ChoiceStream> ResumeAsync(
        IInferenceService service, string id, string owner, CancellationToken cancellationToken) =>
        OpenAsync(
            async stream =>
            {
                int choices = 1;
                for (int choice = 0; choice < choices; choice++)
                {
                    string generation = GenerationIds.OfChoice(id, choice);
                    stream._generations.Add(
                        await TextGeneration.ResumeAsync(service, generation, owner, stream._cancellation.Token));
                    choices = stream.Presentation!.Choices;
                }
            },
            cancellationToken);

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

    private static async Task<ChoiceStream> OpenAsync(Func<ChoiceStream, Task> open, CancellationToken cancellationToken)
    {
        var stream = new ChoiceStream(cancellationToken);
        try
        {
            await open(stream);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
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
