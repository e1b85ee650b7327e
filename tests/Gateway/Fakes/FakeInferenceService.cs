using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tests.Fakes;

/// <summary>Answers every request with <see cref="Answer"/>, a token a byte, at once and the same each time.</summary>
internal sealed class FakeInferenceService : IInferenceService
{
    public const string ModelName = "test/model-1";
    public const int ContextLength = 1000;
    public const int CachedTokens = 3;

    private int _running;

    public ServedModel Model { get; set; } = new(
        ModelName,
        ContextLength,
        "0123456789abcdef0123456789abcdef",
        DateTimeOffset.FromUnixTimeSeconds(1_700_000_000),
        new ByteTokenizer());

    /// <summary>What the model says to a request before its end token.</summary>
    public Func<GenerationRequest, string> Answer { get; set; } = _ => "Hello, world!";

    /// <summary>Comes instead of the start.</summary>
    public Func<GenerationRequest, GenerationEvent.Failed?> Refusal { get; set; } = _ => null;

    /// <summary>Comes instead of the token of this index.</summary>
    public (int Index, GenerationEvent.Failed Failure)? Break { get; set; }

    /// <summary>Is awaited before each token.</summary>
    public Func<GenerationRequest, int, CancellationToken, Task> BeforeToken { get; set; } = (_, _, _) => Task.CompletedTask;

    /// <summary>Whether each token tells how much of the prompt was cached.</summary>
    public bool TellsCached { get; set; }

    public ClusterSnapshot Snapshot { get; set; } = FakeCluster.Ready;

    public ConcurrentQueue<GenerationRequest> Requests { get; } = new();

    /// <summary>Generations that nobody ended.</summary>
    public int Running => _running;

    /// <summary>Is completed with the tokens that were yielded when a generation is ended early.</summary>
    public TaskCompletionSource<int> EndedEarly { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<ClusterSnapshot> GetSnapshotAsync(CancellationToken cancellationToken) => Task.FromResult(Snapshot);

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Requests.Enqueue(request);
        if (Refusal(request) is { } refusal)
        {
            yield return refusal;
            yield break;
        }

        int tokens = 0;
        bool complete = false;
        Interlocked.Increment(ref _running);
        try
        {
            int prompt = Model.Tokenizer.Encode(request.Prompt).Length;
            yield return new GenerationEvent.Started(prompt, request.Presentation);

            int[] answer = [.. ByteTokenizer.Bytes(Answer(request))];
            int limit = request.MaxTokens ?? ContextLength - prompt;
            while (tokens < limit && (request.IgnoreEnd || tokens < answer.Length))
            {
                await BeforeToken(request, tokens, cancellationToken);
                cancellationToken.ThrowIfCancellationRequested();
                if (Break is { } fault && fault.Index == tokens)
                {
                    yield return fault.Failure;
                    yield break;
                }

                GenerationEvent.TokenGenerated token = Token(request, tokens, answer[tokens % answer.Length]);
                tokens++;
                yield return token with { CachedTokens = TellsCached ? CachedTokens : null };
            }

            complete = true;
            bool ended = tokens == answer.Length && !request.IgnoreEnd;
            yield return new GenerationEvent.Finished(
                ended ? FinishReason.EndToken : FinishReason.Length, prompt, ended ? tokens + 1 : tokens, CachedTokens);
        }
        finally
        {
            Interlocked.Decrement(ref _running);
            if (!complete)
                EndedEarly.TrySetResult(tokens);
        }
    }

    /// <summary>Goes on with any request that was made resumable, from its start: the answer is the same each time.</summary>
    public IAsyncEnumerable<GenerationEvent> ResumeAsync(string id, string owner, CancellationToken cancellationToken) =>
        Requests.FirstOrDefault(request => request.Id == id && request.Owner == owner && request.Resumable) is { } known
            ? GenerateAsync(known, cancellationToken)
            : NotFoundAsync();

    private static async IAsyncEnumerable<GenerationEvent> NotFoundAsync()
    {
        await Task.CompletedTask;
        yield return new GenerationEvent.Failed(FailureCode.NotFound, "there is no such answer");
    }

    /// <summary>The log-probability of the token with this index.</summary>
    public static float LogProb(int index) => -0.25f * (index + 1);

    private static GenerationEvent.TokenGenerated Token(GenerationRequest request, int index, int token)
    {
        if (request.Sampling.TopLogProbs is not { } count)
            return new GenerationEvent.TokenGenerated(index, new TokenLogProb(token, 0), []);
        var top = Enumerable.Range(0, count).Select(rank => new TokenLogProb((token + rank) % 256, LogProb(index) - rank));
        return new GenerationEvent.TokenGenerated(index, new TokenLogProb(token, LogProb(index)), [.. top]);
    }
}
