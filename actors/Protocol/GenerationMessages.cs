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
    /// <param name="Listener">Who hears the tokens.</param>
    [MessagePackObject]
    public sealed record Start(
        [property: Key(0)] string GenerationId, [property: Key(1)] string ReplicaId, [property: Key(2)] int[] Prompt,
        [property: Key(3)] SamplingParameters Sampling, [property: Key(4)] int MaxTokens, [property: Key(5)] int[] EndTokens,
        [property: Key(6)] IActorRef Listener) : IGenerationMessage;

    /// <summary>To the generation: nobody wants the rest.</summary>
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
    [MessagePackObject]
    public sealed record TokenSampled(
        [property: Key(0)] string GenerationId, [property: Key(1)] int Index, [property: Key(2)] int Token,
        [property: Key(3)] float LogProb, [property: Key(4)] TokenLogProb[]? Top) : IGenerationMessage;

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
