using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tcp.Client;

/// <summary>Why an answer ended.</summary>
public enum EndReason
{
    /// <summary>The model said it was done.</summary>
    EndToken,

    /// <summary>The text reached a stop string, which is not part of it.</summary>
    StopString,

    /// <summary>The answer reached its limit or the context's end.</summary>
    Length,

    /// <summary>It was cancelled.</summary>
    Cancelled,
}

/// <summary>An answer to ask for.</summary>
public sealed record GenerationOptions
{
    /// <summary>What to continue.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingParameters Sampling { get; init; } = new();

    /// <summary>Most tokens of the answer; null lets it fill the context.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Whether to go on past the model's end tokens (for measuring).</summary>
    public bool IgnoreEnd { get; init; }

    /// <summary>Strings that end the answer, at most 16.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];
}

/// <summary>A token of an answer.</summary>
/// <param name="Index">Its number within the answer, from 0.</param>
/// <param name="Id">Its id.</param>
/// <param name="LogProb">Its log-probability, if asked for.</param>
/// <param name="Top">The likeliest alternatives, if asked for.</param>
public sealed record GeneratedToken(int Index, int Id, float? LogProb, IReadOnlyList<TokenLogProb> Top);

/// <summary>A piece of an answer.</summary>
/// <param name="Text">
/// The text that is certain now: often that of the token, later for half a character or what could become a stop string.
/// </param>
/// <param name="Token">The token; null for text that was held back until the end.</param>
public sealed record GenerationUpdate(string Text, GeneratedToken? Token);

/// <summary>How an answer ended.</summary>
/// <param name="Reason">Why it ended.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="GeneratedTokens">Tokens that were generated.</param>
/// <param name="CachedTokens">Prompt tokens that were found in the cache; null when the cluster did not say.</param>
public sealed record GenerationResult(EndReason Reason, int PromptTokens, int GeneratedTokens, int? CachedTokens);

/// <summary>The model that a cluster serves.</summary>
/// <param name="Name">Its name.</param>
/// <param name="ContextLength">Positions of prompt and answer together.</param>
/// <param name="VocabularySize">Tokens of its vocabulary.</param>
/// <param name="HasChatFormat">Whether it takes chats.</param>
/// <param name="Fingerprint">The hash of its file.</param>
public sealed record ModelDescription(string Name, int ContextLength, int VocabularySize, bool HasChatFormat, string Fingerprint);

/// <summary>An answer that was refused or broke off.</summary>
public sealed class GenerationException(FailureCode code, string message, int? retryAfterSeconds) : Exception(message)
{
    /// <summary>What kind of failure.</summary>
    public FailureCode Code { get; } = code;

    /// <summary>When trying again makes sense; null when it does not.</summary>
    public int? RetryAfterSeconds { get; } = retryAfterSeconds;
}
