using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>What a client sends.</summary>
internal abstract record ClientMessage
{
    private ClientMessage()
    {
    }

    /// <summary>The first message of a connection.</summary>
    public sealed record Hello(int Version, string? ApiKey) : ClientMessage;

    /// <summary>Asks for an answer. It is told as Started, Tokens, and Finished or Failed.</summary>
    public sealed record Generate(
        uint Request,
        Prompt Prompt,
        SamplingParameters Sampling,
        int? MaxTokens,
        bool IgnoreEnd,
        IReadOnlyList<string> StopStrings) : ClientMessage;

    /// <summary>Ends an answer early. A request that has ended already is not an error: its end may be on the way.</summary>
    public sealed record Cancel(uint Request) : ClientMessage;

    /// <summary>Asks for the model.</summary>
    public sealed record GetModel(uint Request) : ClientMessage;
}
