using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>Source-generated JSON of every response.</summary>
[JsonSerializable(typeof(ChatCompletion))]
[JsonSerializable(typeof(ChatChunk))]
[JsonSerializable(typeof(ChatChunkWithUsage))]
[JsonSerializable(typeof(TextCompletion))]
[JsonSerializable(typeof(TextCompletionWithUsage))]
[JsonSerializable(typeof(ModelList))]
[JsonSerializable(typeof(ModelCard))]
[JsonSerializable(typeof(TokenizeResponse))]
[JsonSerializable(typeof(DetokenizeResponse))]
[JsonSerializable(typeof(HealthResponse))]
[JsonSerializable(typeof(ClusterSnapshot))]
[JsonSerializable(typeof(ErrorResponse))]
internal sealed partial class ApiJson : JsonSerializerContext
{
    /// <summary>The fields as OpenAI spells them. Text stays readable: it is sent as JSON, never inside HTML.</summary>
    public static ApiJson Web { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
