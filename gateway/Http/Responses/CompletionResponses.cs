using System.Text.Json.Serialization;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>The answer to a plain completion request, or a piece of one that streams.</summary>
internal record TextCompletion(
    string Id, string Object, long Created, string Model, string SystemFingerprint, IReadOnlyList<TextChoice> Choices);

/// <summary>A <see cref="TextCompletion"/> with its usage; null in every chunk of a stream but the last.</summary>
internal sealed record TextCompletionWithUsage(
    string Id,
    string Object,
    long Created,
    string Model,
    string SystemFingerprint,
    IReadOnlyList<TextChoice> Choices,
    [property: JsonPropertyOrder(1)] Usage? Usage)
    : TextCompletion(Id, Object, Created, Model, SystemFingerprint, Choices);

/// <summary>One choice of a <see cref="TextCompletion"/>.</summary>
internal sealed record TextChoice(int Index, string Text, TextLogProbs? Logprobs, string? FinishReason);

/// <summary>Log-probabilities in the form of the plain completions: parallel lists.</summary>
internal sealed record TextLogProbs(
    IReadOnlyList<string> Tokens,
    IReadOnlyList<double> TokenLogprobs,
    IReadOnlyList<IReadOnlyDictionary<string, double>>? TopLogprobs,
    IReadOnlyList<int> TextOffset);
