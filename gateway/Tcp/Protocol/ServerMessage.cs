using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>What the endpoint sends.</summary>
internal abstract record ServerMessage
{
    private ServerMessage()
    {
    }

    /// <summary>Answers a Hello.</summary>
    public sealed record Welcome(int Version) : ServerMessage;

    /// <summary>An answer has begun. Its id, by which another connection can go on with it, since version 2.</summary>
    public sealed record Started(uint Request, int PromptTokens, string? Id) : ServerMessage;

    /// <summary>The next token, and the text that is certain with it.</summary>
    public sealed record Token(
        uint Request, int Index, int Id, string Text, float? LogProb, IReadOnlyList<TokenLogProb> Top) : ServerMessage;

    /// <summary>An answer is complete.</summary>
    public sealed record Finished(
        uint Request, EndReason Reason, string Text, int PromptTokens, int GeneratedTokens, int? CachedTokens) : ServerMessage;

    /// <summary>An answer was refused or broke off.</summary>
    public sealed record Failed(uint Request, FailureCode Code, string Reason, int? RetryAfterSeconds) : ServerMessage;

    /// <summary>The model.</summary>
    public sealed record Model(
        uint Request, string Name, int ContextLength, int VocabularySize, bool HasChatFormat, string Fingerprint)
        : ServerMessage;

    /// <summary>Why the endpoint ends the connection; the last message.</summary>
    public sealed record Goodbye(string Reason) : ServerMessage;
}
