using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Quantization;

/// <summary>
/// Writes a model as a GGUF file of another weight format. Weights that have the format already are copied as they are; norms
/// become F32, which holds each of them exactly.
/// </summary>
public static class ModelQuantizer
{
    /// <summary>Writes a model. The output appears under its name only once it is complete; a partial one is removed.</summary>
    /// <param name="source">The model to read, whose metadata goes along if it is a GGUF file.</param>
    /// <param name="options">What to write.</param>
    /// <param name="progress">Told after every few megabytes, by the thread that wrote them.</param>
    /// <param name="cancellation">Stops the writing.</param>
    /// <exception cref="ModelFileException">
    /// The output exists or cannot be written, or the model has a weight that the format cannot hold.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static QuantizationResult Write(
        ModelFile source, QuantizationOptions options, IProgress<WritingProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(options);
        if (!Enum.IsDefined(options.Type))
            throw new ModelFileException($"there is no weight format {options.Type}");
        if (options.Threads < 1)
            throw new ModelFileException($"{options.Threads} threads were asked for; there must be at least 1");

        var substitutes = new List<(string, WeightFormat, WeightFormat)>();
        List<TensorSpec> tensors = QuantizedTensors.Of(source, options.Type, substitutes);
        long bytes = tensors.Sum(tensor => tensor.ByteCount);
        var writer = new TensorFileWriter(options.Threads, bytes, progress);
        ModelOutput.Write(options.Output, bytes, partial => writer.Write(partial, Header(source, options).Layout(tensors), cancellation));
        return new QuantizationResult(
            tensors.Where(tensor => tensor.Shape.Length == 2).CountBy(tensor => tensor.Format).ToDictionary(), substitutes);
    }

    private static GgufWriter Header(ModelFile source, QuantizationOptions options)
    {
        var writer = new GgufWriter();
        if (source is GgufFile gguf)
        {
            foreach ((string key, object value) in gguf.Metadata.Values)
                writer.Set(key, value);
        }
        else
        {
            GgufMetadataWriter.SetModel(writer, source.Name, source.Config);
        }

        foreach ((string key, object value) in options.Metadata)
            writer.Set(key, value);
        GgufMetadataWriter.SetType(writer, options.Type);
        return writer;
    }
}
