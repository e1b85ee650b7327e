using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>What the planner must know of a model.</summary>
/// <param name="LayerBytes">Weight bytes of each layer.</param>
/// <param name="EmbeddingBytes">Weight bytes of the token embedding.</param>
/// <param name="HeadBytes">
/// Weight bytes of the final norm and the output head, as they take memory on a slice that lacks the embedding.
/// </param>
/// <param name="TiedHead">Whether head and embedding are one tensor: a slice with both holds it once.</param>
/// <param name="KvBytesPerTokenPerLayer">Bytes that one cached position takes in one layer.</param>
/// <param name="ActivationBytesPerToken">Bytes of one row of the residual stream between stages.</param>
/// <param name="ContextLength">Positions of the longest sequence.</param>
public sealed record ModelProfile(
    IReadOnlyList<long> LayerBytes, long EmbeddingBytes, long HeadBytes, bool TiedHead, long KvBytesPerTokenPerLayer,
    long ActivationBytesPerToken, int ContextLength)
{
    /// <summary>What the parts take on GPUs, by kind; where a kind is missing, what they take in the file.</summary>
    public IReadOnlyDictionary<DeviceKind, DeviceProfile> Gpus { get; init; } = new Dictionary<DeviceKind, DeviceProfile>();

    /// <summary>The profile of an opened model; reads headers only.</summary>
    /// <param name="file">The model.</param>
    /// <param name="kvFormat">How keys and values will be cached.</param>
    /// <param name="activations">How the residual stream will travel between stages.</param>
    /// <param name="largest">The largest batch, from which follows what slices take on GPUs; null if there are none.</param>
    public static ModelProfile From(
        ModelFile file, KvFormat kvFormat, ActivationFormat activations = ActivationFormat.F32, SliceOptions? largest = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        var config = file.Config;
        int layers = config.LayerCount;
        return new ModelProfile(
            LayerBytes: [.. Enumerable.Range(0, layers).Select(layer => BytesOf(layer, layer + 1))],
            EmbeddingBytes: BytesOf(0, 0, hasEmbedding: true),
            HeadBytes: BytesOf(layers, layers, hasHead: true),
            config.TiedHead,
            KvBytesPerTokenPerLayer: new KvShape(1, 1, config.KvHeadCount, config.HeadDim, kvFormat).BytesPerBlock / KvShape.BlockSize,
            ActivationBytesPerToken: (long)config.HiddenSize * activations.ElementBytes(),
            config.ContextLength)
        {
            Gpus = largest is null
                ? new Dictionary<DeviceKind, DeviceProfile>()
                : Enum.GetValues<DeviceKind>().Where(kind => kind != DeviceKind.Host).ToDictionary(kind => kind, kind => DeviceProfile.OnGpu(file, kind, largest)),
        };

        long BytesOf(int first, int last, bool hasEmbedding = false, bool hasHead = false) =>
            ModelSlice.BytesOf(file, new SliceRange(first, last, hasEmbedding, hasHead));
    }

    /// <summary>What the parts take on a kind of device.</summary>
    public DeviceProfile On(DeviceKind kind) => Gpus.TryGetValue(kind, out DeviceProfile? profile)
        ? profile
        : new DeviceProfile(
            LayerBytes, EmbeddingBytes, HeadBytes, TiedHead ? EmbeddingBytes : 0, KvBytesPerTokenPerLayer, BufferBytes: 0, LayerBufferBytes: 0, HeadBufferBytes: 0);
}
