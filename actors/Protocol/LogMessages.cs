using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>How gateways keep copies of each other's token logs.</summary>
public static class LogMessages
{
    /// <summary>A token as a log keeps it: all that a client that comes back may want to hear of it.</summary>
    /// <param name="Token">The token.</param>
    /// <param name="LogProb">Its log-probability, if asked for.</param>
    /// <param name="Top">The likeliest alternatives, if asked for; null otherwise.</param>
    /// <param name="CachedTokens">Prompt tokens found in the KV cache.</param>
    [MessagePackObject]
    public readonly record struct LogToken(
        [property: Key(0)] int Token, [property: Key(1)] float LogProb, [property: Key(2)] TokenLogProb[]? Top,
        [property: Key(3)] int CachedTokens);

    /// <summary>A log begins: from now on its number stands for it.</summary>
    /// <param name="Number">Its number, unique for the sender's life.</param>
    /// <param name="Request">What is generated; without a listener.</param>
    [MessagePackObject]
    public sealed record LogOpening([property: Key(0)] long Number, [property: Key(1)] GenerationMessages.Start Request);

    /// <summary>The next token of a log.</summary>
    /// <param name="Number">The log's number.</param>
    /// <param name="Index">The token's number within the answer.</param>
    /// <param name="Token">The token.</param>
    [MessagePackObject]
    public readonly record struct LogEntry([property: Key(0)] long Number, [property: Key(1)] int Index, [property: Key(2)] LogToken Token);

    /// <summary>A log is complete.</summary>
    /// <param name="Number">The log's number.</param>
    /// <param name="Tokens">Tokens that it has.</param>
    /// <param name="End">How the answer ended.</param>
    [MessagePackObject]
    public sealed record LogEnding(
        [property: Key(0)] long Number, [property: Key(1)] int Tokens, [property: Key(2)] GenerationMessages.Completed End);

    /// <summary>From the gateway that owns logs to the one that keeps copies of them: what has come since the last batch.</summary>
    /// <param name="Store">The sender's life: another one after a restart.</param>
    /// <param name="Sequence">Number of the batch between the two, without gaps.</param>
    /// <param name="Opened">Logs that begin.</param>
    /// <param name="Tokens">Tokens, those of one log in order.</param>
    /// <param name="Ended">Logs that are complete.</param>
    /// <param name="Closed">Logs that nobody needs any more.</param>
    [MessagePackObject]
    public sealed record LogBatch(
        [property: Key(0)] long Store, [property: Key(1)] long Sequence, [property: Key(2)] LogOpening[] Opened,
        [property: Key(3)] LogEntry[] Tokens, [property: Key(4)] LogEnding[] Ended, [property: Key(5)] long[] Closed) : IClusterMessage;

    /// <summary>Back to the owner: the batch is kept.</summary>
    /// <param name="Store">The owner's life, from the batch.</param>
    /// <param name="Sequence">The batch.</param>
    /// <param name="Missing">Logs of which something before the batch is missing: they must be opened again.</param>
    [MessagePackObject]
    public sealed record LogAck(
        [property: Key(0)] long Store, [property: Key(1)] long Sequence, [property: Key(2)] long[] Missing) : IClusterMessage;

    /// <summary>To every other gateway: has anyone the log of this generation? Whoever asks becomes its owner.</summary>
    [MessagePackObject]
    public sealed record FindLog([property: Key(0)] string GenerationId) : IClusterMessage;

    /// <summary>Back to the gateway that asked.</summary>
    /// <param name="GenerationId">The generation.</param>
    /// <param name="Log">What is known of it; null when nothing is.</param>
    [MessagePackObject]
    public sealed record LogFound([property: Key(0)] string GenerationId, [property: Key(1)] LogSnapshot? Log) : IClusterMessage;

    /// <summary>A log at a moment.</summary>
    /// <param name="Request">What is generated; without a listener.</param>
    /// <param name="Tokens">The tokens so far.</param>
    /// <param name="End">How the answer ended; null when it has not.</param>
    [MessagePackObject]
    public sealed record LogSnapshot(
        [property: Key(0)] GenerationMessages.Start Request, [property: Key(1)] LogToken[] Tokens,
        [property: Key(2)] GenerationMessages.Completed? End);
}
