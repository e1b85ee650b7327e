using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Inference;

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>The model said it was done.</summary>
    EndToken,

    /// <summary>The answer reached its limit or the context's end.</summary>
    Length,

    /// <summary>The client cancelled, or what watched the text had seen enough (a stop string).</summary>
    Cancelled,
}

/// <summary>Why a request was refused or failed.</summary>
public enum FailureCode
{
    /// <summary>The request itself is wrong: HTTP 400.</summary>
    InvalidRequest,

    /// <summary>Prompt and answer do not fit the context: HTTP 400 with OpenAI's <c>context_length_exceeded</c>.</summary>
    ContextLengthExceeded,

    /// <summary>The queue is full: HTTP 429, with the seconds to wait.</summary>
    QueueFull,

    /// <summary>No pipeline can serve now: HTTP 503.</summary>
    Unavailable,

    /// <summary>There is no such generation (any more), or it belongs to somebody else: HTTP 404.</summary>
    NotFound,

    /// <summary>The pipeline broke while it served the request: HTTP 500, or an error in the stream.</summary>
    Failed,
}

/// <summary>What happens to a generation, in order: <see cref="Started"/>, then tokens, then one end.</summary>
public abstract record GenerationEvent
{
    private GenerationEvent()
    {
    }

    /// <summary>The prompt is encoded and the request is in a pipeline's queue.</summary>
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="Presentation">What <see cref="GenerationRequest.Presentation"/> was.</param>
    public sealed record Started(int PromptTokens, string? Presentation = null) : GenerationEvent;

    /// <summary>The next token of the answer. End tokens are not reported.</summary>
    /// <param name="Index">Its number within the answer, from 0, without gaps.</param>
    /// <param name="Token">The token and, if asked for, its log-probability.</param>
    /// <param name="Top">The likeliest alternatives, best first, if asked for.</param>
    public sealed record TokenGenerated(int Index, TokenLogProb Token, IReadOnlyList<TokenLogProb> Top) : GenerationEvent
    {
        /// <summary>Prompt tokens whose keys and values were found in the cache; null when that is not known.</summary>
        public int? CachedTokens { get; init; }
    }

    /// <summary>The answer is complete.</summary>
    /// <param name="Reason">Why it ended.</param>
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="GeneratedTokens">Tokens that were generated, an end token included.</param>
    /// <param name="CachedTokens">Prompt tokens whose keys and values were found in the cache.</param>
    public sealed record Finished(FinishReason Reason, int PromptTokens, int GeneratedTokens, int CachedTokens) : GenerationEvent;

    /// <summary>The answer was refused or broke off.</summary>
    /// <param name="Code">What kind of failure.</param>
    /// <param name="Message">The reason for the client, with the numbers and the remedy.</param>
    /// <param name="RetryAfterSeconds">When trying again makes sense; null when it does not.</param>
    public sealed record Failed(FailureCode Code, string Message, int? RetryAfterSeconds = null) : GenerationEvent;
}
