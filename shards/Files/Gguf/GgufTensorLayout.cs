using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>How a GGUF file keeps the tensors of a Llama model: formats, row order, and RoPE's divisors.</summary>
internal static class GgufTensorLayout
{
    /// <summary>
    /// The format of a tensor in a file of a type: norms are F32, and the matrix that makes the logits has six bits when the others
    /// have fewer, as in files of llama.cpp's quantizer.
    /// </summary>
    public static WeightFormat FormatOf(TensorRole role, LlamaConfig config, WeightFormat type)
    {
        if (role.IsNorm())
            return WeightFormat.F32;
        bool makesLogits = role == (config.TiedHead ? TensorRole.TokenEmbedding : TensorRole.OutputHead);
        return makesLogits && type is (WeightFormat.Q4_0 or WeightFormat.Q4_K or WeightFormat.Q5_K) ? WeightFormat.Q6_K : type;
    }

    /// <summary>The dimensions of a tensor, the contiguous one last.</summary>
    public static int[] ShapeOf(TensorRole role, LlamaConfig config)
    {
        (int rows, int columns) = role.ShapeIn(config);
        return role.IsNorm() ? [columns] : [rows, columns];
    }

    /// <summary>
    /// The row of Hugging Face's order that is a row of GGUF's: GGUF keeps the elements that RoPE rotates together side by side;
    /// Hugging Face keeps them half a head apart.
    /// </summary>
    public static int HuggingFaceRow(TensorRole role, int row, int headDim)
    {
        if (role is not (TensorRole.Query or TensorRole.Key))
            return row;
        int head = row / headDim, within = row % headDim;
        return (head * headDim) + (within % 2 * (headDim / 2)) + (within / 2);
    }

    /// <summary>What divides RoPE's base frequencies, if anything does.</summary>
    /// <param name="config">The base frequencies.</param>
    /// <param name="frequencies">The frequencies with all scaling applied.</param>
    public static TensorSpec? RopeDivisors(LlamaConfig config, IReadOnlyList<double> frequencies)
    {
        double[] plain = RopeFrequencies.Compute(config with { RopeScaling = null });
        float[] divisors = [.. plain.Zip(frequencies, (without, with) => (float)(without / with))];
        return divisors.All(divisor => divisor == 1)
            ? null
            : new TensorSpec(
                GgufTensorNames.RopeDivisors, WeightFormat.F32, [divisors.Length], (_, destination) => divisors.CopyTo(destination));
    }
}
