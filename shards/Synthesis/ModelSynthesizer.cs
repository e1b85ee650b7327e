using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Safetensors;
using Llama3Cluster.Shards.Files.Writing;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>
/// Writes models of real shapes with random weights, to test and measure with where the real ones cannot be had. Equal seeds give
/// equal weights in both forms, but for the rounding of their formats.
/// </summary>
public static class ModelSynthesizer
{
    /// <summary>Writes a model. The output appears under its name only once it is complete; a partial one is removed.</summary>
    /// <param name="options">What to write.</param>
    /// <param name="progress">Told after every few megabytes, by the thread that wrote them.</param>
    /// <param name="cancellation">Stops the writing.</param>
    /// <exception cref="ModelFileException">
    /// The options contradict each other, the output exists, the disk is too small or cannot be written to, or the tokenizer cannot
    /// be used.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static void Write(
        SynthesisOptions options, IProgress<WritingProgress>? progress = null, CancellationToken cancellation = default)
    {
        (LlamaConfig config, Vocabulary vocabulary) = Prepare(options);
        var weights = new WeightSource(options.Seed, config);
        List<TensorSpec> tensors = options.Format == SynthesisFormat.Gguf
            ? ModelTensors.ForGguf(config, weights, options.Type)
            : ModelTensors.ForHuggingFace(config, weights, options.Type);
        RequireWholeBlocks(options, tensors);

        long bytes = tensors.Sum(tensor => tensor.ByteCount);
        var writer = new TensorFileWriter(options.Threads, bytes, progress);
        ModelOutput.Write(options.Output, bytes, partial =>
        {
            if (options.Format == SynthesisFormat.Gguf)
                writer.Write(partial, Gguf(options, config, vocabulary).Layout(tensors), cancellation);
            else
                WriteFolder(partial, options, config, vocabulary, tensors, writer, cancellation);
        });
    }

    private static GgufWriter Gguf(SynthesisOptions options, LlamaConfig config, Vocabulary vocabulary)
    {
        var gguf = new GgufWriter();
        GgufMetadataWriter.SetModel(gguf, $"{options.Shape} random {options.Type}", config);
        GgufMetadataWriter.SetType(gguf, options.Type);
        VocabularyMetadata.Set(gguf, vocabulary);
        return gguf;
    }

    private static (LlamaConfig Config, Vocabulary Vocabulary) Prepare(SynthesisOptions options)
    {
        LlamaConfig shape = ModelShapes.Get(options.Shape);
        if (!Enum.IsDefined(options.Type) || !Enum.IsDefined(options.Format))
            throw new ModelFileException($"there is no weight format {options.Type} or model form {options.Format}");
        if (options.Format == SynthesisFormat.HuggingFace && options.Type.ElementsPerBlock() != 1)
            throw new ModelFileException($"Hugging Face's form takes F32, F16 and BF16, not {options.Type}; write a GGUF file");
        if (options.Threads < 1 || options.ShardBytes < 1)
            throw new ModelFileException($"{options.Threads} threads and {options.ShardBytes} bytes a shard were asked for; "
                + "both must be at least 1");

        Vocabulary vocabulary = options.TokenizerDirectory is string folder
            ? TokenizerDirectory.Read(folder)
            : SyntheticVocabulary.Create(shape.VocabularySize);
        LlamaConfig config = shape with
        {
            LayerCount = options.Layers ?? shape.LayerCount,
            VocabularySize = Math.Max(shape.VocabularySize, vocabulary.Tokens.Count),
            BosToken = vocabulary.BosToken,
            EosTokens = vocabulary.EosTokens,
        };
        LlamaConfigLimits.Require(config, $"shape {options.Shape}");
        return (config, vocabulary.PaddedTo(config.VocabularySize));
    }

    private static void WriteFolder(
        string folder,
        SynthesisOptions options,
        LlamaConfig config,
        Vocabulary vocabulary,
        List<TensorSpec> tensors,
        TensorFileWriter writer,
        CancellationToken cancellation)
    {
        Directory.CreateDirectory(folder);
        HuggingFaceConfigWriter.Write(config, options.Type, folder);
        if (options.TokenizerDirectory is string tokenizer)
            TokenizerDirectory.Copy(tokenizer, folder);
        else
            SyntheticTokenizerFiles.Write(vocabulary, folder);

        List<List<TensorSpec>> shards = SafetensorsWriter.Split(tensors, options.ShardBytes);
        for (int i = 0; i < shards.Count; i++)
        {
            string path = Path.Combine(folder, SafetensorsWriter.FileName(i, shards.Count));
            writer.Write(path, SafetensorsWriter.Layout(shards[i]), cancellation);
        }

        if (shards.Count > 1)
            File.WriteAllText(Path.Combine(folder, SafetensorsIndex.FileName), SafetensorsWriter.Index(shards));
    }

    private static void RequireWholeBlocks(SynthesisOptions options, List<TensorSpec> tensors)
    {
        TensorSpec? broken = tensors.Find(tensor => tensor.Columns % tensor.Format.ElementsPerBlock() != 0);
        if (broken is not null)
            throw new ModelFileException($"shape {options.Shape} has rows of {broken.Columns} elements in {broken.Name}, "
                + $"not a whole number of {broken.Format} blocks of {broken.Format.ElementsPerBlock()}");
    }
}
