using System.Text.Json.Serialization;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>The models that are served.</summary>
internal sealed record ModelList(string Object, IReadOnlyList<ModelCard> Data);

/// <summary>A served model: OpenAI's fields, then what a client needs to know to use it.</summary>
internal sealed record ModelCard(
    string Id, string Object, long Created, string OwnedBy, int ContextLength, int VocabularySize, bool HasChatFormat);

/// <summary>A prompt's tokens.</summary>
internal sealed record TokenizeResponse(int Count, int MaxModelLen, IReadOnlyList<int> Tokens);

/// <summary>The text of tokens.</summary>
internal sealed record DetokenizeResponse(string Prompt);

/// <summary>Whether the gateway lives, or can serve.</summary>
internal sealed record HealthResponse(
    string Status, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Reason = null);
