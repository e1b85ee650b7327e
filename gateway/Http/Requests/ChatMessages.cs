using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>Reads the messages of a conversation.</summary>
internal static class ChatMessages
{
    public static IReadOnlyList<ChatMessage> Parse(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.InvalidType(path, "an array of objects", JsonFields.Describe(value));
        if (value.GetArrayLength() == 0)
            throw ApiException.InvalidValue(path, "at least one message is needed.");
        return [.. value.EnumerateArray().Select((message, index) => ParseMessage(message, $"{path}[{index}]"))];
    }

    private static ChatMessage ParseMessage(JsonElement value, string path)
    {
        var fields = new JsonFields(value, path);
        string role = RoleOf(JsonFields.StringOf(fields.Require("role"), fields.PathOf("role")), fields.PathOf("role"));
        fields.Refuse("Tool calls are not supported here.", "tool_calls", "tool_call_id", "function_call");
        fields.Refuse("The model's chat format has no place for it.", "name", "audio", "refusal");
        // Answers of OpenAI's API have it as an empty array, and clients send answers back as they came.
        if (fields.Take("annotations") is { } annotations && !IsEmptyArray(annotations))
            throw ApiException.Unsupported(fields.PathOf("annotations"), "Only an empty array is accepted.");
        string content = ParseContent(fields.Require("content"), fields.PathOf("content"));
        fields.End();
        return new ChatMessage(role, content);
    }

    private static bool IsEmptyArray(JsonElement value) => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0;

    private static string RoleOf(string role, string path) => role switch
    {
        "system" or "user" or "assistant" => role,
        // The newer name of the same role.
        "developer" => "system",
        "tool" or "function" => throw ApiException.InvalidValue(
            path, $"'{role}' belongs to tool calls, which are not supported here."),
        _ => throw ApiException.InvalidValue(path, $"expected 'system', 'developer', 'user' or 'assistant', but got '{role}'."),
    };

    private static string ParseContent(JsonElement value, string path) => value.ValueKind switch
    {
        JsonValueKind.String => JsonFields.StringOf(value, path),
        JsonValueKind.Array when IsEmptyArray(value) =>
            throw ApiException.InvalidValue(path, "at least one part is needed."),
        JsonValueKind.Array =>
            string.Join('\n', value.EnumerateArray().Select((part, index) => ParsePart(part, $"{path}[{index}]"))),
        _ => throw ApiException.InvalidType(path, "a string or an array of text parts", JsonFields.Describe(value)),
    };

    private static string ParsePart(JsonElement value, string path)
    {
        var fields = new JsonFields(value, path);
        string type = JsonFields.StringOf(fields.Require("type"), fields.PathOf("type"));
        if (type != "text")
            throw ApiException.InvalidValue(
                fields.PathOf("type"), $"only parts of type 'text' are supported here, not '{type}'.");
        string text = JsonFields.StringOf(fields.Require("text"), fields.PathOf("text"));
        fields.End();
        return text;
    }
}
