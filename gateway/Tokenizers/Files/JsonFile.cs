using System.Text.Json;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>A JSON file of a model's folder, parsed.</summary>
internal sealed class JsonFile : IDisposable
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly JsonDocument _document;

    private JsonFile(JsonDocument document, string name)
    {
        _document = document;
        Root = new JsonValue(document.RootElement, name);
    }

    /// <summary>The whole of it.</summary>
    public JsonValue Root { get; }

    public static JsonFile Open(string path) => Parse(BoundedFile.Read(path), path);

    /// <summary>Parses a file's content.</summary>
    /// <param name="bytes">The content.</param>
    /// <param name="path">Where it is from, for messages.</param>
    public static JsonFile Parse(ReadOnlyMemory<byte> bytes, string path)
    {
        try
        {
            return new JsonFile(JsonDocument.Parse(bytes, Strict), Path.GetFileName(path));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The check for duplicate keys reports a key that is not Unicode as an invalid operation.
            throw new ModelFileException($"{path} is not valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>Opens the file if it is there.</summary>
    public static JsonFile? OpenIfPresent(string path) => File.Exists(path) ? Open(path) : null;

    public void Dispose() => _document.Dispose();
}

/// <summary>A value of a <see cref="JsonFile"/> that knows where it stands, so that every error can say it.</summary>
internal readonly struct JsonValue(JsonElement element, string path)
{
    public string Path => path;

    public bool IsNull => element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    public bool IsString => element.ValueKind == JsonValueKind.String;

    public bool IsArray => element.ValueKind == JsonValueKind.Array;

    public bool IsObject => element.ValueKind == JsonValueKind.Object;

    /// <summary>A member of an object; a null value if the object lacks it.</summary>
    public JsonValue this[string name]
    {
        get
        {
            Require(JsonValueKind.Object);
            element.TryGetProperty(name, out JsonElement member);
            return new JsonValue(member, $"{path}.{name}");
        }
    }

    public string AsString()
    {
        Require(JsonValueKind.String);
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException exception)
        {
            throw new ModelFileException($"{path} is not valid Unicode", exception);
        }
    }

    public int AsInt32()
    {
        Require(JsonValueKind.Number);
        return element.TryGetInt32(out int value)
            ? value
            : throw new ModelFileException($"{path} is {element.GetRawText()}, where a 32-bit integer is expected");
    }

    /// <summary>A boolean, or what an absent one means.</summary>
    public bool AsBoolean(bool absent)
    {
        if (IsNull)
            return absent;
        if (element.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            throw Unexpected("boolean");
        return element.GetBoolean();
    }

    public IEnumerable<JsonValue> Items()
    {
        Require(JsonValueKind.Array);
        return Enumerate(element, path);

        static IEnumerable<JsonValue> Enumerate(JsonElement array, string path)
        {
            int index = 0;
            foreach (JsonElement item in array.EnumerateArray())
                yield return new JsonValue(item, $"{path}[{index++}]");
        }
    }

    public IEnumerable<(string Name, JsonValue Value)> Members()
    {
        Require(JsonValueKind.Object);
        return Enumerate(element, path);

        static IEnumerable<(string, JsonValue)> Enumerate(JsonElement value, string path)
        {
            foreach (JsonProperty member in value.EnumerateObject())
                yield return (NameOf(member, path), new JsonValue(member.Value, path));
        }
    }

    /// <summary>Refuses an object that has more than the named members: they would change what it does.</summary>
    public void AllowOnly(params ReadOnlySpan<string> names)
    {
        foreach ((string name, _) in Members())
        {
            if (!names.Contains(name))
                throw new ModelFileException($"{path}.{name} is not supported");
        }
    }

    /// <summary>The error for something that is well-formed and unknown here.</summary>
    public ModelFileException Unsupported(string supported) =>
        new($"{path} is {Excerpt()}, which is not supported; supported is {supported}");

    private void Require(JsonValueKind kind)
    {
        if (element.ValueKind != kind)
            throw Unexpected(kind.ToString().ToLowerInvariant());
    }

    private ModelFileException Unexpected(string expected) => new($"{path} is {Excerpt()}, where {expected} is expected");

    private string Excerpt()
    {
        string text = element.ValueKind == JsonValueKind.Undefined ? "missing" : element.GetRawText();
        return text.Length <= 120 ? text : text[..120] + "…";
    }

    private static string NameOf(JsonProperty member, string path)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException exception)
        {
            throw new ModelFileException($"{path} has a name that is not valid Unicode", exception);
        }
    }
}
