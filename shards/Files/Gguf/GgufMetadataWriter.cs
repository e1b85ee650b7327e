using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>The metadata that llama.cpp needs to load a Llama model, but for its vocabulary.</summary>
internal static class GgufMetadataWriter
{
    private const uint QuantizationVersion = 2;

    /// <summary>Sets the model's name and shape.</summary>
    public static void SetModel(GgufWriter writer, string name, LlamaConfig config)
    {
        writer.Set("general.architecture", "llama");
        writer.Set("general.name", name);
        writer.Set("llama.vocab_size", (uint)config.VocabularySize);
        writer.Set("llama.context_length", (uint)config.ContextLength);
        writer.Set("llama.embedding_length", (uint)config.HiddenSize);
        writer.Set("llama.block_count", (uint)config.LayerCount);
        writer.Set("llama.feed_forward_length", (uint)config.IntermediateSize);
        writer.Set("llama.attention.head_count", (uint)config.HeadCount);
        writer.Set("llama.attention.head_count_kv", (uint)config.KvHeadCount);
        writer.Set("llama.attention.key_length", (uint)config.HeadDim);
        writer.Set("llama.attention.value_length", (uint)config.HeadDim);
        writer.Set("llama.attention.layer_norm_rms_epsilon", config.RmsNormEpsilon);
        writer.Set("llama.rope.dimension_count", (uint)config.HeadDim);
        writer.Set("llama.rope.freq_base", (float)config.RopeTheta);
    }

    /// <summary>Sets how most of the weights are stored.</summary>
    public static void SetType(GgufWriter writer, WeightFormat type)
    {
        writer.Set("general.file_type", FileType(type));
        writer.Set("general.quantization_version", QuantizationVersion);
    }

    // Source: llama.h, enum llama_ftype; the K-quants are the plain ("S") mixtures.
    private static uint FileType(WeightFormat type) => type switch
    {
        WeightFormat.F32 => 0,
        WeightFormat.F16 => 1,
        WeightFormat.Q4_0 => 2,
        WeightFormat.Q8_0 => 7,
        WeightFormat.Q4_K => 14,
        WeightFormat.Q5_K => 16,
        WeightFormat.Q6_K => 18,
        WeightFormat.BF16 => 32,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown weight format"),
    };
}
