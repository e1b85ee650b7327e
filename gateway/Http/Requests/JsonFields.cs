using System.Text.Json;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>
/// Takes a JSON object apart field by field. A field that is null counts as absent; one that nobody took is refused at
/// <see cref="End"/>, so that none is ignored.
/// </summary>
internal sealed class JsonFields
{
    private readonly Dictionary<string, JsonElement> _fields = new(StringComparer.Ordinal);
    private readonly string _path;

    /// <param name="element">The object.</param>
    /// <param name="path">Its place in the request, as errors name it; empty for the request itself.</param>
    public JsonFields(JsonElement element, string path = "")
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw ApiException.InvalidType(path, "an object", Describe(element));
        _path = path;
        foreach (JsonProperty field in element.EnumerateObject())
            _fields.Add(field.Name, field.Value);
    }

    /// <summary>The place of a field in the request.</summary>
    public string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    /// <summary>Takes a field; null when it is absent or null.</summary>
    public JsonElement? Take(string name) =>
        _fields.Remove(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>Takes a field that must be there.</summary>
    public JsonElement Require(string name) => Take(name) ?? throw ApiException.MissingParameter(PathOf(name));

    public string? String(string name) => Take(name) is { } value ? StringOf(value, PathOf(name)) : null;

    public bool? Boolean(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw ApiException.InvalidType(PathOf(name), "a boolean", Describe(value)),
    };

    public long? Integer(string name, long min, long max) =>
        Take(name) is { } value ? IntegerOf(value, PathOf(name), min, max) : null;

    public float? Number(string name, double min, double max, bool minExcluded = false) =>
        Take(name) is { } value ? NumberOf(value, PathOf(name), min, max, minExcluded) : null;

    /// <summary>Refuses fields of the API that this server cannot honour.</summary>
    public void Refuse(string reason, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (Take(name) is not null)
                throw ApiException.Unsupported(PathOf(name), reason);
        }
    }

    /// <summary>Refuses what nobody took.</summary>
    public void End()
    {
        foreach (string name in _fields.Keys)
            throw ApiException.UnknownParameter(PathOf(name));
    }

    public static string StringOf(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw ApiException.InvalidType(path, "a string", Describe(value));
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw ApiException.InvalidValue(path, "the text has an incomplete \\u surrogate escape.");
        }
    }

    public static long IntegerOf(JsonElement value, string path, long min, long max)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw ApiException.InvalidType(path, "an integer", Describe(value));
        if (!value.TryGetInt64(out long integer))
        {
            double number = value.GetDouble();
            if (Math.Abs(number) < long.MaxValue)
                throw ApiException.InvalidType(path, "an integer", $"the number {Raw(value)}");
            throw OutOfRange(path, "integer", $"from {min} to {max}", value, number > 0);
        }

        if (integer < min || integer > max)
            throw OutOfRange(path, "integer", $"from {min} to {max}", value, integer > max);
        return integer;
    }

    public static float NumberOf(JsonElement value, string path, double min, double max, bool minExcluded = false)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw ApiException.InvalidType(path, "a number", Describe(value));
        double number = value.GetDouble();
        // A positive number may still be zero as a float.
        if (number < min || number > max || (minExcluded && (float)number <= min))
        {
            string range = minExcluded
                ? FormattableString.Invariant($"above {min} up to {max}")
                : FormattableString.Invariant($"from {min} to {max}");
            throw OutOfRange(path, "number", range, value, number > max);
        }

        return (float)number;
    }

    /// <summary>A value's type in words.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };

    private static ApiException OutOfRange(string path, string kind, string range, JsonElement value, bool above)
    {
        string article = kind == "integer" ? "an" : "a";
        return ApiException.BadRequest(
            $"Invalid '{path}': expected {article} {kind} {range}, but got {Raw(value)} instead.",
            path,
            above ? $"{kind}_above_max_value" : $"{kind}_below_min_value");
    }

    private static string Raw(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 32 ? text : string.Concat(text.AsSpan(0, 32), "…");
    }
}
