using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files;

/// <summary>What a configuration asks of each tensor.</summary>
internal static class TensorShapes
{
    /// <summary>Every tensor of a model in a fixed order; a tied head is not one.</summary>
    public static IEnumerable<(TensorRole Role, int Layer)> Required(LlamaConfig config)
    {
        yield return (TensorRole.TokenEmbedding, 0);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            for (TensorRole role = TensorRole.AttentionNorm; role <= TensorRole.Down; role++)
                yield return (role, layer);
        }

        yield return (TensorRole.OutputNorm, 0);
        if (!config.TiedHead)
            yield return (TensorRole.OutputHead, 0);
    }

    /// <summary>Whether each layer has one.</summary>
    public static bool IsPerLayer(this TensorRole role) => role is >= TensorRole.AttentionNorm and <= TensorRole.Down;

    /// <summary>Whether it is the gain of an RMSNorm: a vector, and never quantized.</summary>
    public static bool IsNorm(this TensorRole role) =>
        role is TensorRole.AttentionNorm or TensorRole.FeedForwardNorm or TensorRole.OutputNorm;

    /// <summary>Its size.</summary>
    public static (int Rows, int Columns) ShapeIn(this TensorRole role, LlamaConfig config)
    {
        int query = config.HeadCount * config.HeadDim, kv = config.KvHeadCount * config.HeadDim;
        return role switch
        {
            TensorRole.TokenEmbedding or TensorRole.OutputHead => (config.VocabularySize, config.HiddenSize),
            TensorRole.AttentionNorm or TensorRole.FeedForwardNorm or TensorRole.OutputNorm => (1, config.HiddenSize),
            TensorRole.Query => (query, config.HiddenSize),
            TensorRole.Key or TensorRole.Value => (kv, config.HiddenSize),
            TensorRole.AttentionOutput => (config.HiddenSize, query),
            TensorRole.Gate or TensorRole.Up => (config.IntermediateSize, config.HiddenSize),
            TensorRole.Down => (config.HiddenSize, config.IntermediateSize),
            _ => throw new ArgumentOutOfRangeException(nameof(role), role, "unknown tensor role"),
        };
    }
}
