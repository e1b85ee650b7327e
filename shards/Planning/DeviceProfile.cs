using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>What the parts of a model take in the memory of one kind of device.</summary>
/// <param name="LayerBytes">Weight bytes of each layer.</param>
/// <param name="EmbeddingBytes">Weight bytes of the token embedding.</param>
/// <param name="HeadBytes">Weight bytes of the final norm and the output head on a slice that lacks the embedding.</param>
/// <param name="SharedBytes">Weight bytes that a slice with both embedding and head takes less than the two.</param>
/// <param name="KvBytesPerTokenPerLayer">Bytes that one cached position takes in one layer.</param>
/// <param name="BufferBytes">What every slice takes besides: the residual stream, a batch's tables, what its device needs to compute at all.</param>
/// <param name="LayerBufferBytes">What a slice with layers takes besides.</param>
/// <param name="HeadBufferBytes">What a slice with the head takes besides: logits.</param>
public sealed record DeviceProfile(
    IReadOnlyList<long> LayerBytes, long EmbeddingBytes, long HeadBytes, long SharedBytes, long KvBytesPerTokenPerLayer,
    long BufferBytes, long LayerBufferBytes, long HeadBufferBytes)
{
    /// <summary>Bytes that a slice takes with so many KV blocks.</summary>
    public long BytesOf(SliceRange slice, int kvBlocks)
    {
        long bytes = BufferBytes + (slice.LayerCount > 0 ? LayerBufferBytes : 0) + (slice.HasHead ? HeadBufferBytes : 0);
        for (int layer = slice.First; layer < slice.Last; layer++)
            bytes += LayerBytes[layer];
        bytes += (slice.HasEmbedding ? EmbeddingBytes : 0) + (slice.HasHead ? HeadBytes : 0) - (slice.HasEmbedding && slice.HasHead ? SharedBytes : 0);
        return bytes + (slice.LayerCount * KvBytesPerTokenPerLayer * kvBlocks * KvShape.BlockSize);
    }

    /// <summary>The profile of an opened model on a GPU; reads headers only.</summary>
    /// <param name="file">The model.</param>
    /// <param name="kind">The kind of GPU.</param>
    /// <param name="options">The largest batch; its KV blocks are not looked at.</param>
    public static DeviceProfile OnGpu(ModelFile file, DeviceKind kind, SliceOptions options)
    {
        LlamaConfig config = file.Config;
        TensorData embedding = file.Tensor(TensorRole.TokenEmbedding), head = file.Tensor(TensorRole.OutputHead);
        long norm = GpuMemoryNeeds.Tensor(kind, 1, config.HiddenSize);
        long lookedUp = Matrix(embedding, WeightUse.Lookup), multiplied = Matrix(head, WeightUse.Product);
        long shared = head.Address == embedding.Address ? lookedUp + multiplied - Matrix(head, WeightUse.LookupAndProduct) : 0;

        var block = new KvShape(1, 1, config.KvHeadCount, config.HeadDim, options.KvFormat);
        (int, int)[] ofLayers = LayerBuffers.Shapes(config, options.MaxRows);
        (int, int)[] ofHead = [(options.MaxLogitRows, config.HiddenSize), (options.MaxLogitRows, config.VocabularySize)];
        (int, int) hidden = (options.MaxRows, config.HiddenSize);
        return new DeviceProfile(
            [.. Enumerable.Range(0, config.LayerCount).Select(layer =>
                LayerWeights.Matrices.Sum(role => Matrix(file.Tensor(role, layer), WeightUse.Product)) + (2 * norm) + GpuMemoryNeeds.KvRounding(kind))],
            lookedUp, multiplied + norm, shared, GpuMemoryNeeds.KvBytesPerBlock(block) / KvShape.BlockSize,
            GpuMemoryNeeds.Device(kind, [hidden, .. ofLayers, .. ofHead]) + Tensors([hidden])
                + GpuMemoryNeeds.Batch(kind, options.MaxRows, options.MaxSequences, ModelSlice.MaxTableEntries(options)),
            Tensors(ofLayers), Tensors(ofHead));

        long Matrix(TensorData data, WeightUse use) => GpuMemoryNeeds.Matrix(kind, data.Format, data.Rows, data.Columns, use);
        long Tensors((int Rows, int Columns)[] shapes) => shapes.Sum(shape => GpuMemoryNeeds.Tensor(kind, shape.Rows, shape.Columns));
    }
}
