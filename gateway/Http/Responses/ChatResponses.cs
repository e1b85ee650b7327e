using System.Text.Json.Serialization;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>The answer to a chat request that does not stream.</summary>
internal sealed record ChatCompletion(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<ChatChoice> Choices,
    Usage Usage);

/// <summary>One choice of a <see cref="ChatCompletion"/>.</summary>
internal sealed record ChatChoice(int Index, AssistantMessage Message, ChatLogProbs? Logprobs, string FinishReason);

/// <summary>The assistant's turn.</summary>
internal sealed record AssistantMessage(string Role, string Content, string? Refusal = null);

/// <summary>A piece of a streamed chat answer.</summary>
internal record ChatChunk(
    string Id, string Object, long Created, string Model, string SystemFingerprint, IReadOnlyList<ChatChunkChoice> Choices);

/// <summary>A piece of a stream that was asked for its usage: null in every chunk but the last.</summary>
internal sealed record ChatChunkWithUsage(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<ChatChunkChoice> Choices,
    [property: JsonPropertyOrder(1)] Usage? Usage)
    : ChatChunk(Id, Object, Created, Model, SystemFingerprint, Choices);

/// <summary>What a chunk adds to one choice.</summary>
internal sealed record ChatChunkChoice(int Index, ChatDelta Delta, ChatLogProbs? Logprobs, string? FinishReason);

/// <summary>What a chunk adds to the assistant's turn.</summary>
internal sealed record ChatDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content = null);

/// <summary>Log-probabilities of an answer's tokens.</summary>
internal sealed record ChatLogProbs(IReadOnlyList<ChatTokenLogProb> Content, IReadOnlyList<ChatTokenLogProb>? Refusal = null);

/// <summary>A token, its log-probability and, for tokens of the answer, the likeliest alternatives.</summary>
internal sealed record ChatTokenLogProb(
    string Token,
    double Logprob,
    IReadOnlyList<int> Bytes,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<ChatTokenLogProb>? TopLogprobs = null);
