using Akka.Actor;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>What a gateway, a generation and its replica tell each other.</summary>
public static class GenerationMessages
{
    /// <summary>To the generation: begin, and tell the listener what happens.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="ReplicaId">The pipeline that the gateway chose.</param>
    /// <param name="Prompt">Tokens of the prompt.</param>
    /// <param name="Sampling">How tokens are chosen.</param>
    /// <param name="MaxTokens">Most tokens of the answer.</param>
    /// <param name="EndTokens">Tokens that end the answer; none to go on past them.</param>
    /// <param name="Listener">Who hears the tokens; null in a log.</param>
    /// <param name="Again">Whether it was sent before: the generation may live already, or have lived on a gateway that is gone.</param>
    /// <param name="Owner">Whom the generation belongs to: only who names the same owner may listen.</param>
    /// <param name="Resumable">Whether it is kept for a while when its listener goes away, and after its end.</param>
    /// <param name="Presentation">How the endpoint writes the answer, for an endpoint elsewhere that goes on with it.</param>
    [MessagePackObject]
    public sealed record Start(
        [property: Key(0)] string GenerationId, [property: Key(1)] string ReplicaId, [property: Key(2)] int[] Prompt,
        [property: Key(3)] SamplingParameters Sampling, [property: Key(4)] int MaxTokens, [property: Key(5)] int[] EndTokens,
        [property: Key(6)] IActorRef? Listener, [property: Key(7)] bool Again = false, [property: Key(8)] string? Owner = null,
        [property: Key(9)] bool Resumable = false, [property: Key(10)] string? Presentation = null) : IGenerationMessage;

    /// <summary>To the generation: tell this listener, and no other, what happens from an index on.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="Owner">Whom it must belong to.</param>
    /// <param name="From">The first index that is wanted.</param>
    /// <param name="Listener">Who hears the tokens.</param>
    [MessagePackObject]
    public sealed record Attach(
        [property: Key(0)] string GenerationId, [property: Key(1)] string? Owner, [property: Key(2)] int From,
        [property: Key(3)] IActorRef Listener) : IGenerationMessage;

    /// <summary>To the listener: the generation is in a pipeline's queue, or knows its answer; it is told from now on.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="Presentation">How the endpoint that started it writes the answer.</param>
    [MessagePackObject]
    public sealed record Attached(
        [property: Key(0)] string GenerationId, [property: Key(1)] int PromptTokens, [property: Key(2)] string? Presentation) : IClusterMessage;

    /// <summary>To the listener: no more from here. Nobody has such a generation, or another listener took its place.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="TakenOver">Whether another listener took its place.</param>
    [MessagePackObject]
    public sealed record Detached([property: Key(0)] string GenerationId, [property: Key(1)] bool TakenOver) : IClusterMessage;

    /// <summary>From its listener to the generation: nobody listens any more. One that can be resumed waits a while for the next listener.</summary>
    [MessagePackObject]
    public sealed record Cancel([property: Key(0)] string GenerationId) : IGenerationMessage;

    /// <summary>To the replica: compute this generation. Sent again, with the log so far, to a replica that lost it.</summary>
    /// <param name="ReplicaId">The replica.</param>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="Prompt">Tokens of the prompt.</param>
    /// <param name="Log">Tokens generated already.</param>
    /// <param name="Sampling">How tokens are chosen.</param>
    /// <param name="MaxTokens">Most tokens of the answer, those of the log included.</param>
    /// <param name="EndTokens">Tokens that end the answer.</param>
    /// <param name="Generation">Whom to send the tokens.</param>
    [MessagePackObject]
    public sealed record Enqueue(
        [property: Key(0)] string ReplicaId, [property: Key(1)] string GenerationId, [property: Key(2)] int[] Prompt,
        [property: Key(3)] int[] Log, [property: Key(4)] SamplingParameters Sampling, [property: Key(5)] int MaxTokens,
        [property: Key(6)] int[] EndTokens, [property: Key(7)] IActorRef Generation) : IReplicaMessage;

    /// <summary>To the generation: it is in the replica's queue.</summary>
    [MessagePackObject]
    public sealed record Enqueued([property: Key(0)] string GenerationId) : IGenerationMessage;

    /// <summary>To the replica: stop computing this generation and free its KV blocks.</summary>
    [MessagePackObject]
    public sealed record Withdraw([property: Key(0)] string ReplicaId, [property: Key(1)] string GenerationId) : IReplicaMessage;

    /// <summary>To the generation and from there to its listener: the next token.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="Index">Number of the token within the answer: taken only if it equals the log's length.</param>
    /// <param name="Token">The token.</param>
    /// <param name="LogProb">Its log-probability, if asked for.</param>
    /// <param name="Top">The likeliest alternatives, if asked for; null otherwise.</param>
    /// <param name="CachedTokens">Prompt tokens found in the KV cache.</param>
    [MessagePackObject]
    public sealed record TokenSampled(
        [property: Key(0)] string GenerationId, [property: Key(1)] int Index, [property: Key(2)] int Token,
        [property: Key(3)] float LogProb, [property: Key(4)] TokenLogProb[]? Top, [property: Key(5)] int CachedTokens = 0) : IGenerationMessage;

    /// <summary>To the generation and from there to its listener: the answer is complete.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="Reason">Why it ended.</param>
    /// <param name="GeneratedTokens">Tokens that were generated, an end token included.</param>
    /// <param name="CachedTokens">Prompt tokens found in the KV cache.</param>
    [MessagePackObject]
    public sealed record Completed(
        [property: Key(0)] string GenerationId, [property: Key(1)] FinishReason Reason, [property: Key(2)] int GeneratedTokens,
        [property: Key(3)] int CachedTokens) : IGenerationMessage;

    /// <summary>To the generation and from there to its listener: the answer was refused or broke off.</summary>
    /// <param name="GenerationId">The request's id.</param>
    /// <param name="Code">What kind of failure.</param>
    /// <param name="Message">The reason, fit for the client.</param>
    /// <param name="RetryAfterSeconds">When trying again makes sense; null when it does not.</param>
    [MessagePackObject]
    public sealed record Aborted(
        [property: Key(0)] string GenerationId, [property: Key(1)] FailureCode Code, [property: Key(2)] string Message,
        [property: Key(3)] int? RetryAfterSeconds) : IGenerationMessage;
}
