using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files.Partial;

namespace Llama3Cluster.Shards.Files;

/// <summary>
/// An opened model: its configuration and its tensors, memory-mapped. Opening reads headers only and checks every tensor that
/// the configuration asks for (present, in the right shape and format, inside the file); the weights are read when a slice
/// touches them. The mapping lives until the file is disposed, which must come after every slice that was loaded from it.
/// </summary>
public abstract class ModelFile : IDisposable
{
    /// <summary>Creates the part that all kinds of file share.</summary>
    protected ModelFile(string path, LlamaConfig config)
    {
        Path = path;
        Config = config;
    }

    /// <summary>
    /// Opens the model at a path: a .gguf file, a .safetensors file beside its config.json, or a Hugging Face folder (config.json with
    /// model.safetensors, or with model.safetensors.index.json and its shards).
    /// </summary>
    /// <exception cref="ModelFileException">
    /// The path leads to no model, or to one that is damaged, of another architecture or in a format that the devices do not know.
    /// </exception>
    public static ModelFile Open(string path) => ModelFileOpener.Open(path);

    /// <summary>The file or folder it was opened from.</summary>
    public string Path { get; }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config { get; }

    /// <summary>A short name for people and for /v1/models: the GGUF's own name, else the file's or folder's.</summary>
    public abstract string Name { get; }

    /// <summary>The order in which the file keeps the rows of the query and key projections.</summary>
    public abstract RopePairing Pairing { get; }

    /// <summary>
    /// A hash over configuration, tensor directory and samples of the weights (64 hex digits): nodes that serve one model compare
    /// it. Cheap: it does not read the whole file.
    /// </summary>
    public abstract string Fingerprint { get; }

    /// <summary>RoPE's radians a position for each of the head dim / 2 pairs, all scaling applied.</summary>
    public abstract IReadOnlyList<double> RopeFrequencies { get; }

    /// <summary>Where its bytes lie, for those who copy part of it.</summary>
    public abstract ModelLayout Layout { get; }

    /// <summary>A tensor of the model.</summary>
    /// <param name="role">What it is to the model. Asking for the head of a tied model gives the embedding.</param>
    /// <param name="layer">The layer, for roles that have one a layer; ignored for the others.</param>
    /// <exception cref="ModelFileException">The file has no such tensor.</exception>
    public abstract TensorData Tensor(TensorRole role, int layer = 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Unmaps the file.</summary>
    protected abstract void Dispose(bool disposing);
}
