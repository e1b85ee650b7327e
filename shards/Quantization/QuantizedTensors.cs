using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Quantization;

/// <summary>The tensors of an existing model as a GGUF file of another format has them.</summary>
internal static class QuantizedTensors
{
    // What rounds to half precision's infinity: half way between its largest number and the next power of two.
    private const float HalfLimit = 65520;

    /// <summary>Every tensor of a model.</summary>
    /// <param name="source">The model.</param>
    /// <param name="type">The format of its matrices.</param>
    /// <param name="substitutes">Is told which matrices cannot have their format.</param>
    public static List<TensorSpec> Of(
        ModelFile source, WeightFormat type, List<(string Tensor, WeightFormat Wanted, WeightFormat Written)> substitutes)
    {
        var tensors = new List<TensorSpec>();
        foreach ((TensorRole role, int layer) in TensorShapes.Required(source.Config))
        {
            TensorData data = source.Tensor(role, layer);
            string name = GgufTensorNames.Of(role, layer);
            WeightFormat wanted = GgufTensorLayout.FormatOf(role, source.Config, type), format = Fitting(wanted, data.Columns);
            if (format != wanted)
                substitutes.Add((name, wanted, format));

            int headDim = source.Config.HeadDim;
            Func<int, int> rowOf = source.Pairing == RopePairing.Halves ? row => GgufTensorLayout.HuggingFaceRow(role, row, headDim) : row => row;
            tensors.Add(new TensorSpec(
                name, format, GgufTensorLayout.ShapeOf(role, source.Config),
                (row, destination) => Decode(name, data, rowOf(row), format, destination))
            {
                Copy = data.Format == format ? (row, destination) => data.Row(rowOf(row)).CopyTo(destination) : null,
            });
        }

        if (GgufTensorLayout.RopeDivisors(source.Config, source.RopeFrequencies) is { } divisors)
            tensors.Add(divisors);
        return tensors;
    }

    private static WeightFormat Fitting(WeightFormat wanted, int columns) =>
        columns % wanted.ElementsPerBlock() == 0 ? wanted
        : columns % WeightFormat.Q8_0.ElementsPerBlock() == 0 ? WeightFormat.Q8_0
        : WeightFormat.F16;

    private static void Decode(string name, TensorData data, int row, WeightFormat format, Span<float> destination)
    {
        BlockCodec.Dequantize(data.Format, data.Row(row), destination);
        float limit = format == WeightFormat.F16 ? HalfLimit : float.PositiveInfinity;
        foreach (float element in destination)
        {
            if (!(Math.Abs(element) < limit))
                throw new ModelFileException($"row {row} of the model's {name} has the element {element}, which {format} cannot hold");
        }
    }
}
