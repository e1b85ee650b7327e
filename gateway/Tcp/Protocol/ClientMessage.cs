using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>What a client sends.</summary>
internal abstract record ClientMessage
{
    private ClientMessage()
    {
    }

    /// <summary>The first message of a connection: the range of versions that the client speaks.</summary>
    public sealed record Hello(int Newest, string? ApiKey, int Oldest) : ClientMessage;

    /// <summary>Asks for an answer. It is told as Started, Tokens, and Finished or Failed.</summary>
    public sealed record Generate(
        uint Request,
        Prompt Prompt,
        SamplingParameters Sampling,
        int? MaxTokens,
        bool IgnoreEnd,
        IReadOnlyList<string> StopStrings) : ClientMessage;

    /// <summary>Asks for the rest of an answer that was begun on another connection, of any gateway. Since version 2.</summary>
    /// <param name="Request">The answer's number on this connection.</param>
    /// <param name="Id">Its id, from its Started.</param>
    /// <param name="LastIndex">Index of the last token that the client has; -1 for none.</param>
    public sealed record Attach(uint Request, string Id, int LastIndex) : ClientMessage;

    /// <summary>Ends an answer early. A request that has ended already is not an error: its end may be on the way.</summary>
    public sealed record Cancel(uint Request) : ClientMessage;

    /// <summary>Asks for the model.</summary>
    public sealed record GetModel(uint Request) : ClientMessage;
}
