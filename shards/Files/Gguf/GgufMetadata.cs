namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>
/// The key/value pairs of a GGUF file. The getters give null for a key that the file does not have and an error for one that has
/// another type, so that a caller never mistakes the one for the other.
/// </summary>
public sealed class GgufMetadata
{
    private readonly string _path;

    /// <summary>Metadata of a file that is read, or is yet to be written.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="values">The pairs; see <see cref="Values"/> for their types.</param>
    public GgufMetadata(string path, IReadOnlyDictionary<string, object> values)
    {
        _path = path;
        Values = values;
    }

    /// <summary>
    /// Every pair as it was read: byte, sbyte, ushort, short, uint, int, ulong, long, float, double, bool, string, an array of one of
    /// these, or an object array of arrays.
    /// </summary>
    public IReadOnlyDictionary<string, object> Values { get; }

    /// <summary>A string, such as general.name.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public string? GetString(string key) => Get<string>(key, "a string");

    /// <summary>An integer of any width, such as llama.block_count.</summary>
    /// <exception cref="ModelFileException">The key has another type, or a value of 2^63 or more.</exception>
    public long? GetInteger(string key) => Find(key) switch
    {
        null => null,
        byte v => v,
        sbyte v => v,
        ushort v => v,
        short v => v,
        uint v => v,
        int v => v,
        long v => v,
        ulong v when v <= long.MaxValue => (long)v,
        object v => throw Mistyped(key, v, "an integer below 2^63"),
    };

    /// <summary>A real number, such as llama.rope.freq_base; an integer is taken too.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public double? GetNumber(string key) => Find(key) switch
    {
        null => null,
        float v => v,
        double v => v,
        bool or string or Array => throw Mistyped(key, Values[key], "a number"),
        _ => GetInteger(key),
    };

    /// <summary>A truth value, such as tokenizer.ggml.add_bos_token.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public bool? GetBoolean(string key) => Find(key) switch
    {
        null => null,
        bool v => v,
        object v => throw Mistyped(key, v, "a boolean"),
    };

    /// <summary>Strings, such as tokenizer.ggml.tokens or tokenizer.ggml.merges.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public IReadOnlyList<string>? GetStrings(string key) => Get<string[]>(key, "an array of strings");

    /// <summary>32-bit integers, such as tokenizer.ggml.token_type.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public IReadOnlyList<int>? GetIntegers(string key) => Find(key) is object value && value.GetType() == typeof(uint[])
        ? Array.ConvertAll((uint[])value, v => v <= int.MaxValue ? (int)v : throw Mistyped(key, value, "an array of integers below 2^31"))
        : Get<int[]>(key, "an array of 32-bit integers");

    /// <summary>Single-precision numbers, such as tokenizer.ggml.scores.</summary>
    /// <exception cref="ModelFileException">The key has another type.</exception>
    public IReadOnlyList<float>? GetNumbers(string key) => Get<float[]>(key, "an array of 32-bit floats");

    private object? Find(string key) => Values.TryGetValue(key, out object? value) ? value : null;

    // The exact type is compared because the runtime takes an int[] for a uint[], here and in pattern matching.
    private T? Get<T>(string key, string expected)
        where T : class => Find(key) switch
        {
            null => null,
            object value when value.GetType() == typeof(T) => (T)value,
            object value => throw Mistyped(key, value, expected),
        };

    private ModelFileException Mistyped(string key, object value, string expected) =>
        new($"{_path}: {key} is {Shown(value)}, not {expected}");

    private static string Shown(object value) => value switch
    {
        Array array => $"{array.Length} x {array.GetType().GetElementType()!.Name}",
        string { Length: > 40 } text => $"String {text[..40]}…",
        _ => $"{value.GetType().Name} {value}",
    };
}
