using System.Text.Json.Serialization;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>Tokens that a request took.</summary>
internal sealed record Usage(
    int PromptTokens,
    int CompletionTokens,
    int TotalTokens,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] PromptTokensDetails? PromptTokensDetails);

/// <summary>Prompt tokens that were found in the cache.</summary>
internal sealed record PromptTokensDetails(int CachedTokens);
