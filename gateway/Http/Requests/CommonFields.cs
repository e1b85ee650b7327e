using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>Fields that chat and plain completions share, beside those of the sampling.</summary>
internal static class CommonFields
{
    /// <summary>Takes the model's name, which must be the served one.</summary>
    public static void TakeModel(JsonFields fields, ServedModel served, bool required = true)
    {
        string? asked = required ? JsonFields.StringOf(fields.Require("model"), "model") : fields.String("model");
        if (asked is not null && asked != served.Name)
            throw ApiException.ModelNotFound(asked, served.Name);
    }

    /// <summary>Takes labels that ask for nothing where nothing is stored, and refuses to store.</summary>
    public static void TakeLabels(JsonFields fields)
    {
        fields.String("user");
        fields.String("safety_identifier");
        fields.String("prompt_cache_key");
        if (fields.Take("metadata") is { } metadata)
        {
            string path = fields.PathOf("metadata");
            if (metadata.ValueKind != JsonValueKind.Object)
                throw ApiException.InvalidType(path, "an object", JsonFields.Describe(metadata));
            foreach (JsonProperty label in metadata.EnumerateObject())
                JsonFields.StringOf(label.Value, $"{path}.{label.Name}");
        }

        if (fields.Boolean("store") == true)
            throw ApiException.Unsupported("store", "Completions are not stored here.");
        if (fields.String("service_tier") is { } tier and not ("auto" or "default"))
            throw ApiException.InvalidValue("service_tier", $"expected 'auto' or 'default', but got '{tier}'.");
    }

    public static IReadOnlyList<string> TakeStopStrings(JsonFields fields)
    {
        if (fields.Take("stop") is not { } value)
            return [];
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw ApiException.InvalidType("stop", "a string or an array of strings", JsonFields.Describe(value));
        string[] stops = value.ValueKind == JsonValueKind.String
            ? [JsonFields.StringOf(value, "stop")]
            : [.. value.EnumerateArray().Select((item, index) => JsonFields.StringOf(item, $"stop[{index}]"))];
        return StopStrings.ProblemOf(stops) is { } problem ? throw ApiException.InvalidValue("stop", problem) : stops;
    }

    public static (bool Stream, bool IncludeUsage) TakeStream(JsonFields fields)
    {
        bool stream = fields.Boolean("stream") ?? false;
        if (fields.Take("stream_options") is not { } value)
            return (stream, false);
        if (!stream)
            throw ApiException.InvalidValue("stream_options", "it is only allowed when 'stream' is true.");
        var options = new JsonFields(value, "stream_options");
        bool includeUsage = options.Boolean("include_usage") ?? false;
        if (options.Boolean("include_obfuscation") == true)
            throw ApiException.Unsupported("stream_options.include_obfuscation", "Chunks are not padded here.");
        options.End();
        return (stream, includeUsage);
    }

    public static int TakeChoiceCount(JsonFields fields, int max) => (int)(fields.Integer("n", 1, max) ?? 1);
}
