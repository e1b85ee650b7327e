using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The metadata that llama.cpp needs to load a Llama model and its vocabulary.</summary>
internal static class GgufMetadataWriter
{
    private const uint QuantizationVersion = 2;

    /// <summary>Adds everything but the tensors.</summary>
    public static void Write(GgufWriter writer, string name, LlamaConfig config, WeightFormat type, Vocabulary vocabulary)
    {
        writer.Add("general.architecture", "llama");
        writer.Add("general.name", name);
        writer.Add("general.alignment", (uint)GgufHeader.DefaultAlignment);
        writer.Add("general.file_type", FileType(type));
        writer.Add("general.quantization_version", QuantizationVersion);
        writer.Add("llama.vocab_size", (uint)config.VocabularySize);
        writer.Add("llama.context_length", (uint)config.ContextLength);
        writer.Add("llama.embedding_length", (uint)config.HiddenSize);
        writer.Add("llama.block_count", (uint)config.LayerCount);
        writer.Add("llama.feed_forward_length", (uint)config.IntermediateSize);
        writer.Add("llama.attention.head_count", (uint)config.HeadCount);
        writer.Add("llama.attention.head_count_kv", (uint)config.KvHeadCount);
        writer.Add("llama.attention.key_length", (uint)config.HeadDim);
        writer.Add("llama.attention.value_length", (uint)config.HeadDim);
        writer.Add("llama.attention.layer_norm_rms_epsilon", config.RmsNormEpsilon);
        writer.Add("llama.rope.dimension_count", (uint)config.HeadDim);
        writer.Add("llama.rope.freq_base", (float)config.RopeTheta);
        writer.Add("tokenizer.ggml.model", "gpt2");
        writer.Add("tokenizer.ggml.pre", "llama-bpe");
        writer.Add("tokenizer.ggml.tokens", vocabulary.Tokens);
        writer.Add("tokenizer.ggml.token_type", [.. vocabulary.Types.Select(kind => (int)kind)]);
        writer.Add("tokenizer.ggml.merges", vocabulary.Merges);
        AddToken(writer, "bos_token_id", vocabulary.BosToken);
        AddToken(writer, "eos_token_id", vocabulary.EosTokens.Count > 0 ? vocabulary.EosTokens[0] : null);
    }

    private static void AddToken(GgufWriter writer, string key, int? token)
    {
        if (token is int id)
            writer.Add($"tokenizer.ggml.{key}", (uint)id);
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
