using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>What a test reads and multiplies for each token.</summary>
/// <param name="ReadBytes">Weight bytes, shared by the tokens of a step; null where multiplying, not reading, is the work.</param>
/// <param name="Operations">Two for each multiply-add by a weight. Attention's own are left out.</param>
/// <param name="SecondsOfOperations">What they take at the ceilings; null where those are not known.</param>
internal sealed record TokenCost(double? ReadBytes, double Operations, double? SecondsOfOperations);

/// <summary>Counts the weights that a model's steps read and multiply.</summary>
internal sealed class ModelWork
{
    private static readonly TensorRole[] LayerMatrices =
    [
        TensorRole.Query, TensorRole.Key, TensorRole.Value, TensorRole.AttentionOutput, TensorRole.Gate, TensorRole.Up, TensorRole.Down,
    ];

    private readonly Part _layers = new(0, 0);
    private readonly Part _head;

    /// <summary>Counts.</summary>
    /// <param name="file">The model.</param>
    /// <param name="ceilings">The machine's ceilings, if they are known.</param>
    public ModelWork(ModelFile file, CpuCeilings? ceilings)
    {
        TensorData embedding = file.Tensor(TensorRole.TokenEmbedding), head = file.Tensor(TensorRole.OutputHead);
        bool tied = embedding.Address == head.Address;
        int layers = file.Config.LayerCount;
        StepReadBytes = ModelSlice.BytesOf(file, SliceRange.Whole(layers)) - (tied ? 0 : embedding.ByteCount);
        for (int layer = 0; layer < layers; layer++)
        {
            foreach (TensorRole role in LayerMatrices)
                _layers += Part.Of(file.Tensor(role, layer), ceilings);
        }

        _head = Part.Of(head, ceilings);
    }

    /// <summary>
    /// Weight bytes that a step reads, however many rows it has: all but the embedding table, of which it reads single rows, unless
    /// that table is the head too.
    /// </summary>
    public long StepReadBytes { get; }

    /// <summary>A prompt of so many tokens, of which one is sampled after.</summary>
    public TokenCost Prefill(int tokens)
    {
        double heads = 1.0 / tokens;
        return new TokenCost(null, _layers.Operations + (heads * _head.Operations), _layers.Seconds + (heads * _head.Seconds));
    }

    /// <summary>A token of each of so many sequences a step, all sampled.</summary>
    public TokenCost Decode(int batch) =>
        new((double)StepReadBytes / batch, _layers.Operations + _head.Operations, _layers.Seconds + _head.Seconds);

    // The multiply-adds of one row by some matrices, and the time they take at the ceilings of the matrices' formats.
    private readonly record struct Part(double Operations, double? Seconds)
    {
        public static Part operator +(Part a, Part b) => new(a.Operations + b.Operations, a.Seconds + b.Seconds);

        public static Part Of(TensorData matrix, CpuCeilings? ceilings)
        {
            double operations = 2.0 * matrix.Rows * matrix.Columns;
            return new Part(operations, operations / ceilings?.OperationsPerSecond(matrix.Format));
        }
    }
}
