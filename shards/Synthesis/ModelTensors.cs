using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Safetensors;

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
            Shape(config, tensor.Role),
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
                GgufFormat(config, role, type),
                Shape(config, role),
                (row, destination) => weights.Fill(role, layer, HuggingFaceRow(role, row, config.HeadDim), destination)));
        }

        if (config.RopeScaling is not null)
            tensors.Add(RopeDivisors(config));
        return tensors;
    }

    // llama.cpp's quantizer keeps the matrix that makes the logits in six bits when the others have fewer.
    private static WeightFormat GgufFormat(LlamaConfig config, TensorRole role, WeightFormat type)
    {
        if (role.IsNorm())
            return WeightFormat.F32;
        bool makesLogits = role == (config.TiedHead ? TensorRole.TokenEmbedding : TensorRole.OutputHead);
        return makesLogits && type is (WeightFormat.Q4_0 or WeightFormat.Q4_K or WeightFormat.Q5_K) ? WeightFormat.Q6_K : type;
    }

    // GGUF keeps the elements that RoPE rotates together side by side; Hugging Face keeps them half a head apart.
    private static int HuggingFaceRow(TensorRole role, int row, int headDim)
    {
        if (role is not (TensorRole.Query or TensorRole.Key))
            return row;
        int head = row / headDim, within = row % headDim;
        return (head * headDim) + (within % 2 * (headDim / 2)) + (within / 2);
    }

    private static TensorSpec RopeDivisors(LlamaConfig config)
    {
        double[] plain = RopeFrequencies.Compute(config with { RopeScaling = null }), scaled = RopeFrequencies.Compute(config);
        float[] divisors = [.. plain.Zip(scaled, (without, with) => (float)(without / with))];
        return new TensorSpec(
            GgufTensorNames.RopeDivisors, WeightFormat.F32, [divisors.Length], (_, destination) => divisors.CopyTo(destination));
    }

    private static int[] Shape(LlamaConfig config, TensorRole role)
    {
        (int rows, int columns) = role.ShapeIn(config);
        return role.IsNorm() ? [columns] : [rows, columns];
    }
}
