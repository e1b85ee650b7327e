using System.Text.Json;

namespace Llama3Cluster.Shards.Files;

/// <summary>Reads the JSON of model folders: bounded in size and depth, and strict about duplicate keys.</summary>
internal static class JsonFile
{
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>Reads a JSON file whose root is an object.</summary>
    /// <exception cref="ModelFileException">It is missing, too long, not JSON, or not an object.</exception>
    public static JsonDocument Read(string path, int limit)
    {
        byte[] bytes;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length > limit)
                throw new ModelFileException($"{path} has {stream.Length} bytes; at most {limit} are read");
            bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new ModelFileException($"{path} cannot be read: {e.Message}", e);
        }

        return Parse(path, bytes);
    }

    /// <summary>Parses JSON whose root is an object.</summary>
    /// <param name="source">Where it is from, for messages.</param>
    /// <param name="json">The text, which the document goes on using.</param>
    /// <exception cref="ModelFileException">It is not JSON, not an object, or has a key twice in one object.</exception>
    public static JsonDocument Parse(string source, ReadOnlyMemory<byte> json)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json, Options);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The check for duplicate keys reports a key that is not Unicode as an invalid operation.
            throw new ModelFileException($"{source} is not valid JSON: {e.Message}", e);
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        JsonValueKind kind = document.RootElement.ValueKind;
        document.Dispose();
        throw new ModelFileException($"{source} is a JSON {kind}, not an object");
    }

    /// <summary>The text of a string.</summary>
    /// <exception cref="ModelFileException">It is not one, or has bytes or escapes that are not Unicode.</exception>
    public static string Text(this JsonElement element, string source, string what)
    {
        try
        {
            if (element.ValueKind == JsonValueKind.String)
                return element.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new ModelFileException($"{source}: {what} is not valid Unicode", e);
        }

        throw new ModelFileException($"{source}: {what} is {Shown(element)}, not a string");
    }

    /// <summary>The name of a property.</summary>
    /// <exception cref="ModelFileException">It has bytes or escapes that are not Unicode.</exception>
    public static string NameText(this JsonProperty property, string source)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException e)
        {
            throw new ModelFileException($"{source}: a key is not valid Unicode", e);
        }
    }

    /// <summary>The start of a value's text, for messages.</summary>
    public static string Shown(JsonElement element)
    {
        string text = element.GetRawText();
        return text.Length > 60 ? text[..60] + "…" : text;
    }
}
