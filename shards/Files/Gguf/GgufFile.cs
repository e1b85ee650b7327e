using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files.Partial;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>A model in one GGUF file of version 2 or 3, with the metadata from which a tokenizer can be built.</summary>
public sealed class GgufFile : ModelFile
{
    private const string CopyName = "model.gguf";

    private readonly MappedFile _file;
    private readonly TensorTable _tensors;
    private readonly GgufHeader _header;
    private readonly Lazy<string> _fingerprint;

    private GgufFile(MappedFile file, GgufHeader header, LlamaConfig config, TensorTable tensors, double[] ropeFrequencies)
        : base(file.Path, config)
    {
        _file = file;
        _header = header;
        _tensors = tensors;
        Metadata = header.Metadata;
        RopeFrequencies = ropeFrequencies;
        _fingerprint = new Lazy<string>(() => ModelFingerprint.Compute(this));
    }

    /// <summary>Every key/value pair of the file, the vocabulary included.</summary>
    public GgufMetadata Metadata { get; }

    /// <inheritdoc/>
    public override string Name => Metadata.GetString("general.name") is { Length: > 0 } name
        ? name
        : System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <inheritdoc/>
    public override RopePairing Pairing => RopePairing.Adjacent;

    /// <inheritdoc/>
    public override string Fingerprint => _fingerprint.Value;

    /// <inheritdoc/>
    public override IReadOnlyList<double> RopeFrequencies { get; }

    /// <inheritdoc/>
    public override ModelLayout Layout => ModelLayout.Of(
        Config, CopyName, [], [(CopyName, _file, _header.Tensors.Values)],
        _header.Tensors.Values.Where(tensor => tensor.Name == GgufTensorNames.RopeDivisors), _tensors.Entry);

    /// <summary>Whether a file starts as a GGUF file does.</summary>
    internal static bool HasMagic(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        return file.Length >= sizeof(uint) && file.Bytes(0, sizeof(uint)).SequenceEqual("GGUF"u8);
    }

    /// <summary>Opens a file and checks it.</summary>
    internal static GgufFile OpenFile(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            GgufHeader header = GgufHeader.Read(file);
            LlamaConfig config = GgufConfig.Read(path, header);
            LlamaConfigLimits.Require(config, path);
            TensorTable tensors = TensorTable.Bind(
                path, config, header.Tensors, GgufTensorNames.Of, name => name == GgufTensorNames.RopeDivisors);
            return new GgufFile(file, header, config, tensors, Frequencies(path, config, header));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override TensorData Tensor(TensorRole role, int layer = 0)
    {
        ObjectDisposedException.ThrowIf(_file.IsDisposed, this);
        return _tensors.Get(role, layer);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    private static double[] Frequencies(string path, LlamaConfig config, GgufHeader header)
    {
        if (!header.Tensors.TryGetValue(GgufTensorNames.RopeDivisors, out TensorEntry? entry))
            return Shards.Config.RopeFrequencies.Compute(config);
        if (entry.Format != WeightFormat.F32 || entry.Shape.Length != 1 || entry.Shape[0] != config.HeadDim / 2)
            throw new ModelFileException($"{path}: tensor {entry.Name} is {entry.ShapeText} of {entry.TypeName}; "
                + $"a head of {config.HeadDim} needs [{config.HeadDim / 2}] of F32");
        var divisors = new float[config.HeadDim / 2];
        BlockCodec.Dequantize(WeightFormat.F32, entry.File.Bytes(entry.Offset, (int)entry.ByteCount), divisors);
        int bad = Array.FindIndex(divisors, d => !(d >= 1e-6f && d <= 1e6f));
        if (bad >= 0)
            throw new ModelFileException($"{path}: element {bad} of tensor {entry.Name} is {divisors[bad]}; "
                + "it divides a frequency, so it must be from 1e-6 to 1e6");
        return Shards.Config.RopeFrequencies.Compute(config, divisors);
    }
}
