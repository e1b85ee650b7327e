using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>
/// Reads the prompt of a plain completion: a string, an array of strings, token ids, or an array of token-id arrays.
/// </summary>
internal static class PromptField
{
    private const string Path = "prompt";
    private const string Expected = "a string, an array of strings, an array of token ids or an array of arrays of token ids";

    public static IReadOnlyList<Prompt> Parse(JsonElement value, int vocabularySize, int maxPrompts)
    {
        if (value.ValueKind == JsonValueKind.String)
            return [ParseText(value, Path)];
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.InvalidType(Path, Expected, JsonFields.Describe(value));
        int length = value.GetArrayLength();
        if (length == 0)
            throw ApiException.InvalidValue(Path, "it is empty.");

        // The first item says which of the three kinds of array it is; the parsers below hold the others to it.
        JsonValueKind kind = value[0].ValueKind;
        if (kind == JsonValueKind.Number)
            return [ParseTokens(value, Path, vocabularySize)];
        if (length > maxPrompts)
            throw ApiException.InvalidValue(Path, $"at most {maxPrompts} prompts in a request, but got {length}.");
        return kind switch
        {
            JsonValueKind.String => [.. value.EnumerateArray().Select((item, index) => ParseText(item, $"{Path}[{index}]"))],
            JsonValueKind.Array =>
                [.. value.EnumerateArray().Select((item, index) => ParseTokens(item, $"{Path}[{index}]", vocabularySize))],
            _ => throw ApiException.InvalidType(Path, Expected, $"an array with {JsonFields.Describe(value[0])}"),
        };
    }

    /// <summary>Reads an array of token ids.</summary>
    public static int[] ParseTokenIds(JsonElement value, string path, int vocabularySize)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw ApiException.InvalidType(path, "an array of token ids", JsonFields.Describe(value));
        int[] ids = new int[value.GetArrayLength()];
        int index = 0;
        foreach (JsonElement item in value.EnumerateArray())
        {
            // The item's path is only built for an error: a prompt can have very many tokens.
            bool integer = item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out ids[index]);
            if (!integer || ids[index] < 0 || ids[index] >= vocabularySize)
                JsonFields.IntegerOf(item, $"{path}[{index}]", 0, vocabularySize - 1);
            index++;
        }

        return ids;
    }

    private static Prompt.Text ParseText(JsonElement value, string path)
    {
        string text = JsonFields.StringOf(value, path);
        return text.Length > 0 ? new Prompt.Text(text) : throw ApiException.InvalidValue(path, "it is empty.");
    }

    private static Prompt.Tokens ParseTokens(JsonElement value, string path, int vocabularySize)
    {
        int[] ids = ParseTokenIds(value, path, vocabularySize);
        return ids.Length > 0 ? new Prompt.Tokens(ids) : throw ApiException.InvalidValue(path, "it is empty.");
    }
}
