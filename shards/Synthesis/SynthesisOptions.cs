using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>What <see cref="ModelSynthesizer"/> writes.</summary>
public sealed record SynthesisOptions
{
    /// <summary>One of <see cref="ModelShapes.Names"/>.</summary>
    public required string Shape { get; init; }

    /// <summary>The file (GGUF) or folder (Hugging Face) to make. It must not exist yet; its parent must.</summary>
    public required string Output { get; init; }

    /// <summary>The form of the model.</summary>
    public SynthesisFormat Format { get; init; } = SynthesisFormat.Gguf;

    /// <summary>
    /// How the matrices are stored. For the 4-bit and 5-bit formats the matrix that makes the logits is kept in Q6_K, as llama.cpp's
    /// quantizer does. Hugging Face's form takes F32, F16 and BF16 only.
    /// </summary>
    public WeightFormat Type { get; init; } = WeightFormat.BF16;

    /// <summary>Layers to write instead of the shape's own number; the weights of a layer do not depend on how many there are.</summary>
    public int? Layers { get; init; }

    /// <summary>Equal seeds give equal weights, in either form and on any machine.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>
    /// A folder with a tokenizer.json (byte-level BPE, as Llama 3's) to give the model; a vocabulary larger than the shape's enlarges
    /// the embedding. If null, a made-up vocabulary of the shape's size is written.
    /// </summary>
    public string? TokenizerDirectory { get; init; }

    /// <summary>Bytes after which Hugging Face's form starts another shard.</summary>
    public long ShardBytes { get; init; } = 5_000_000_000;

    /// <summary>Threads that generate and encode.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>The form of a synthesized model.</summary>
public enum SynthesisFormat
{
    /// <summary>One GGUF file with its vocabulary, as llama.cpp loads it.</summary>
    Gguf,

    /// <summary>A Hugging Face folder: config.json, safetensors, tokenizer.json.</summary>
    HuggingFace,
}
