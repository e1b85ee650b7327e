using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Safetensors;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The tensors of a model with random weights, as each form names, orders and stores them.</summary>
internal static class ModelTensors
{
    /// <summary>The tensors of a Hugging Face folder: all of one format, norms included.</summary>
    public static List<TensorSpec> ForHuggingFace(LlamaConfig config, WeightSource weights, WeightFormat type) =>
    [
        .. TensorShapes.Required(config).Select(tensor => new TensorSpec(
            HuggingFaceTensorNames.Of(tensor.Role, tensor.Layer),
            type,
            GgufTensorLayout.ShapeOf(tensor.Role, config),
            (row, destination) => weights.Fill(tensor.Role, tensor.Layer, row, destination))),
    ];

    /// <summary>The tensors of a GGUF file: norms in F32, query and key rows in its own order.</summary>
    public static List<TensorSpec> ForGguf(LlamaConfig config, WeightSource weights, WeightFormat type)
    {
        var tensors = new List<TensorSpec>();
        foreach ((TensorRole role, int layer) in TensorShapes.Required(config))
        {
            tensors.Add(new TensorSpec(
                GgufTensorNames.Of(role, layer),
                GgufTensorLayout.FormatOf(role, config, type),
                GgufTensorLayout.ShapeOf(role, config),
                (row, destination) => weights.Fill(
                    role, layer, GgufTensorLayout.HuggingFaceRow(role, row, config.HeadDim), destination)));
        }

        if (GgufTensorLayout.RopeDivisors(config, RopeFrequencies.Compute(config)) is { } divisors)
            tensors.Add(divisors);
        return tensors;
    }
}
