using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files.Partial;
using FilePath = System.IO.Path;

namespace Llama3Cluster.Shards.Files.Safetensors;

/// <summary>A model in Hugging Face's form: config.json and one .safetensors file or several with an index.</summary>
public sealed class SafetensorsModel : ModelFile
{
    internal const string ConfigName = "config.json";

    private const string GenerationConfigName = "generation_config.json";
    private const string SingleName = "model.safetensors";

    private readonly IReadOnlyList<SafetensorsFile> _files;
    private readonly TensorTable _tensors;
    private readonly string _folder;
    private readonly bool _sharded;
    private readonly Lazy<string> _fingerprint;
    private bool _disposed;

    private SafetensorsModel(
        string path, string name, string folder, bool sharded, LlamaConfig config, IReadOnlyList<SafetensorsFile> files, TensorTable tensors)
        : base(path, config)
    {
        _folder = folder;
        _sharded = sharded;
        _files = files;
        _tensors = tensors;
        Name = name;
        RopeFrequencies = Shards.Config.RopeFrequencies.Compute(config);
        _fingerprint = new Lazy<string>(() => ModelFingerprint.Compute(this));
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override RopePairing Pairing => RopePairing.Halves;

    /// <inheritdoc/>
    public override string Fingerprint => _fingerprint.Value;

    /// <inheritdoc/>
    public override IReadOnlyList<double> RopeFrequencies { get; }

    /// <inheritdoc/>
    /// <remarks>A copy of a single file bears the usual name, whatever the file's own is.</remarks>
    public override ModelLayout Layout
    {
        get
        {
            string[] whole = [ConfigName, GenerationConfigName, .. _sharded ? (string[])[SafetensorsIndex.FileName] : []];
            return ModelLayout.Of(
                Config, ".", whole.Select(file => (file, FilePath.Combine(_folder, file))).Where(file => File.Exists(file.Item2)),
                [.. _files.Select(file => (_sharded ? FilePath.GetFileName(file.File.Path) : SingleName, file.File, (IEnumerable<TensorEntry>)file.Tensors.Values))],
                [], _tensors.Entry);
        }
    }

    /// <summary>Opens one file with the config.json beside it.</summary>
    internal static SafetensorsModel OpenFile(string path)
    {
        string folder = FilePath.GetDirectoryName(FilePath.GetFullPath(path))!;
        if (!File.Exists(FilePath.Combine(folder, ConfigName)))
            throw new ModelFileException($"there is no {ConfigName} beside {path}; "
                + "a safetensors file does not state the model's shape itself");
        return Open(path, FilePath.GetFileNameWithoutExtension(path), folder, false, files => AddSingle(files, path));
    }

    /// <summary>Opens a folder that has a config.json.</summary>
    internal static SafetensorsModel OpenFolder(string path)
    {
        string name = FilePath.GetFileName(FilePath.TrimEndingDirectorySeparator(FilePath.GetFullPath(path)));
        string single = FilePath.Combine(path, SingleName), index = FilePath.Combine(path, SafetensorsIndex.FileName);
        if (File.Exists(single))
            return Open(path, name, path, false, files => AddSingle(files, single));
        if (File.Exists(index))
            return Open(path, name, path, true, files => AddShards(files, path, index));
        throw new ModelFileException($"folder {path} has a {ConfigName} but no weights: "
            + $"neither {SingleName} nor {SafetensorsIndex.FileName}");
    }

    /// <inheritdoc/>
    public override TensorData Tensor(TensorRole role, int layer = 0)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _tensors.Get(role, layer);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _disposed = true;
        foreach (SafetensorsFile file in _files)
            file.Dispose();
    }

    private static SafetensorsModel Open(
        string path, string name, string folder, bool sharded, Func<List<SafetensorsFile>, IReadOnlyDictionary<string, TensorEntry>> openFiles)
    {
        string configPath = FilePath.Combine(folder, ConfigName);
        LlamaConfig config = HuggingFaceConfig.Read(configPath, FilePath.Combine(folder, GenerationConfigName));
        LlamaConfigLimits.Require(config, configPath);
        var files = new List<SafetensorsFile>();
        try
        {
            IReadOnlyDictionary<string, TensorEntry> entries = openFiles(files);
            TensorTable tensors = TensorTable.Bind(
                path,
                config,
                entries,
                HuggingFaceTensorNames.For(config, entries),
                tensor => HuggingFaceTensorNames.IsIgnored(config, tensor));
            return new SafetensorsModel(path, name, folder, sharded, config, files, tensors);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    private static IReadOnlyDictionary<string, TensorEntry> AddSingle(List<SafetensorsFile> files, string path)
    {
        files.Add(SafetensorsFile.Open(path));
        return files[0].Tensors;
    }

    private static Dictionary<string, TensorEntry> AddShards(List<SafetensorsFile> files, string folder, string index)
    {
        var tensors = new Dictionary<string, TensorEntry>();
        foreach (var shard in SafetensorsIndex.Read(index).GroupBy(pair => pair.Value, pair => pair.Key))
        {
            string path = FilePath.Combine(folder, shard.Key);
            if (!File.Exists(path))
                throw new ModelFileException($"{index} names {shard.Key}, which is not in the folder; "
                    + "the download may be incomplete");
            SafetensorsFile file = SafetensorsFile.Open(path);
            files.Add(file);
            foreach (string name in shard)
            {
                tensors.Add(name, file.Tensors.TryGetValue(name, out TensorEntry? entry)
                    ? entry
                    : throw new ModelFileException($"{index} keeps tensor {name} in {shard.Key}, which does not have it"));
            }
        }

        return tensors;
    }
}
