using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files;

/// <summary>The tensors of a model by role, each checked against the configuration.</summary>
internal sealed class TensorTable
{
    private const int NamesInMessages = 8;

    private readonly Dictionary<(TensorRole Role, int Layer), TensorData> _tensors = [];
    private readonly Dictionary<(TensorRole Role, int Layer), TensorEntry> _entries = [];
    private readonly LlamaConfig _config;
    private readonly string _path;

    private TensorTable(string path, LlamaConfig config)
    {
        _path = path;
        _config = config;
    }

    /// <summary>Finds and checks every tensor that the configuration asks for.</summary>
    /// <param name="path">The model, for messages.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="entries">The file's directory.</param>
    /// <param name="nameOf">The name under which this kind of file keeps a role.</param>
    /// <param name="ignored">Names that a Llama model may have without using them.</param>
    /// <exception cref="ModelFileException">
    /// A tensor is missing or of another shape or format, or the file has one that a Llama model would not use.
    /// </exception>
    public static TensorTable Bind(
        string path,
        LlamaConfig config,
        IReadOnlyDictionary<string, TensorEntry> entries,
        Func<TensorRole, int, string> nameOf,
        Func<string, bool> ignored)
    {
        var table = new TensorTable(path, config);
        var used = new HashSet<string>();
        var missing = new List<string>();
        foreach ((TensorRole role, int layer) in TensorShapes.Required(config))
        {
            string name = nameOf(role, layer);
            used.Add(name);
            if (entries.TryGetValue(name, out TensorEntry? entry))
            {
                table._tensors.Add((role, layer), Check(path, config, role, entry));
                table._entries.Add((role, layer), entry);
            }
            else
            {
                missing.Add(name);
            }
        }

        if (missing.Count > 0)
            throw new ModelFileException($"{path} lacks {missing.Count} of the {used.Count} tensors that its configuration asks "
                + $"for: {Listed(missing)}");

        // A bias, a query norm or an expert that were silently left out would give wrong tokens, not an error.
        List<string> unused = [.. entries.Keys.Where(name => !used.Contains(name) && !ignored(name)).Order(StringComparer.Ordinal)];
        if (unused.Count > 0)
            throw new ModelFileException($"{path} has {unused.Count} tensors that a dense Llama model does not use, "
                + $"so it is another architecture: {Listed(unused)}");
        return table;
    }

    /// <summary>A tensor by role; the head of a tied model is its embedding.</summary>
    /// <exception cref="ModelFileException">There is none.</exception>
    public TensorData Get(TensorRole role, int layer)
    {
        if (role == TensorRole.OutputHead && _config.TiedHead)
            role = TensorRole.TokenEmbedding;
        if (_tensors.TryGetValue((role, role.IsPerLayer() ? layer : 0), out TensorData data))
            return data;
        throw new ModelFileException($"{_path} has no tensor {role} of layer {layer}: "
            + $"it has layers 0 to {_config.LayerCount - 1}");
    }

    /// <summary>Where a tensor that the configuration asks for lies in its file.</summary>
    public TensorEntry Entry(TensorRole role, int layer) => _entries[(role, layer)];

    private static TensorData Check(string path, LlamaConfig config, TensorRole role, TensorEntry entry)
    {
        (int rows, int columns) = role.ShapeIn(config);
        bool fits = entry.Shape switch
        {
            [long c] => rows == 1 && c == columns,
            [long r, long c] => r == rows && c == columns,
            _ => false,
        };
        if (!fits)
            throw new ModelFileException($"{path}: tensor {entry.Name} is {entry.ShapeText}, "
                + $"but the configuration (hidden {config.HiddenSize}, "
                + $"intermediate {config.IntermediateSize}, heads {config.HeadCount} on {config.KvHeadCount} of "
                + $"{config.HeadDim}, "
                + $"vocabulary {config.VocabularySize}) asks for {(role.IsNorm() ? $"[{columns}]" : $"[{rows}, {columns}]")}");
        if (entry.Format is not WeightFormat format)
            throw new ModelFileException($"{path}: tensor {entry.Name} has elements of type {entry.TypeName}; "
                + $"weights may be {string.Join(", ", Enum.GetNames<WeightFormat>())}");
        if (role.IsNorm() && format.ElementsPerBlock() != 1)
            throw new ModelFileException($"{path}: tensor {entry.Name} is quantized ({format}); the gain of a norm must be F32, "
                + "F16 or BF16");
        if (columns % format.ElementsPerBlock() != 0)
            throw new ModelFileException($"{path}: tensor {entry.Name} has rows of {columns} elements, "
                + $"not a whole number of {format} blocks of {format.ElementsPerBlock()}");

        var data = new TensorData(format, rows, columns, entry.File.Address(entry.Offset, entry.ByteCount));
        if (data.ByteCount != entry.ByteCount)
            throw new ModelFileException($"{path}: tensor {entry.Name} has {entry.ByteCount} bytes; "
                + $"{entry.ShapeText} of {format} takes {data.ByteCount}");
        return data;
    }

    private static string Listed(List<string> names) =>
        string.Join(", ", names.Take(NamesInMessages)) + (names.Count > NamesInMessages ? ", …" : "");
}
