using System.Text.Json;

namespace Llama3Cluster.Shards.Files;

/// <summary>Typed access to a JSON object of settings: a key that is absent or null is not stated, one of another type an error.</summary>
/// <param name="Path">The file it is from, for messages.</param>
/// <param name="Element">The object.</param>
internal readonly record struct JsonSettings(string Path, JsonElement Element)
{
    public int Integer(string key) => OptionalInteger(key) ?? throw Absent(key);

    public int? OptionalInteger(string key) => Find(key) switch
    {
        null => null,
        JsonElement { ValueKind: JsonValueKind.Number } value when value.TryGetInt32(out int number) => number,
        JsonElement value => throw Mistyped(key, value, "a 32-bit integer"),
    };

    /// <summary>One integer or a list of them; empty if not stated.</summary>
    public int[] OptionalIntegers(string key)
    {
        if (Find(key) is not JsonElement { ValueKind: JsonValueKind.Array } list)
            return OptionalInteger(key) is int single ? [single] : [];
        JsonSettings settings = this;
        return [.. list.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number)
            ? number
            : throw settings.Mistyped(key, item, "a 32-bit integer"))];
    }

    public double Number(string key) => OptionalNumber(key) ?? throw Absent(key);

    public double? OptionalNumber(string key) => Find(key) switch
    {
        null => null,
        JsonElement { ValueKind: JsonValueKind.Number } value when value.TryGetDouble(out double number) => number,
        JsonElement value => throw Mistyped(key, value, "a number"),
    };

    public bool? OptionalBoolean(string key) => Find(key) switch
    {
        null => null,
        JsonElement { ValueKind: JsonValueKind.True } => true,
        JsonElement { ValueKind: JsonValueKind.False } => false,
        JsonElement value => throw Mistyped(key, value, "true or false"),
    };

    public string? OptionalText(string key) => Find(key)?.Text(Path, key);

    /// <summary>A list of strings; empty if not stated.</summary>
    public string[] Texts(string key)
    {
        string path = Path;
        return Find(key) switch
        {
            null => [],
            JsonElement { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(item => item.Text(path, key))],
            JsonElement value => throw Mistyped(key, value, "a list of strings"),
        };
    }

    public JsonSettings? OptionalObject(string key) => Find(key) switch
    {
        null => null,
        JsonElement { ValueKind: JsonValueKind.Object } value => new JsonSettings(Path, value),
        JsonElement value => throw Mistyped(key, value, "an object"),
    };

    private JsonElement? Find(string key) =>
        Element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private ModelFileException Absent(string key) => new($"{Path} lacks {key}");

    private ModelFileException Mistyped(string key, JsonElement value, string expected) =>
        new($"{Path}: {key} is {JsonFile.Shown(value)}, not {expected}");
}
