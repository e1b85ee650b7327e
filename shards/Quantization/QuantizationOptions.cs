using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Quantization;

/// <summary>What <see cref="ModelQuantizer"/> writes.</summary>
public sealed record QuantizationOptions
{
    /// <summary>The GGUF file to make. It must not exist yet; its folder must.</summary>
    public required string Output { get; init; }

    /// <summary>
    /// How the matrices are stored. For the 4-bit and 5-bit formats the matrix that makes the logits is kept in Q6_K, as llama.cpp's
    /// quantizer does. A matrix whose rows are not a whole number of blocks is kept in Q8_0, or F16 where that does not fit either.
    /// </summary>
    public required WeightFormat Type { get; init; }

    /// <summary>Metadata to add to the model's own or to put in its place: the vocabulary of a model that is no GGUF file.</summary>
    public IReadOnlyDictionary<string, object> Metadata { get; init; } = new Dictionary<string, object>();

    /// <summary>Threads that decode and encode.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>What was written.</summary>
/// <param name="Matrices">How many matrices have each format.</param>
/// <param name="Substitutes">Matrices that did not fit the format they were to have, with the one they got.</param>
public sealed record QuantizationResult(
    IReadOnlyDictionary<WeightFormat, int> Matrices, IReadOnlyList<(string Tensor, WeightFormat Wanted, WeightFormat Written)> Substitutes);
