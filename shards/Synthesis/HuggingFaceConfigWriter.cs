using System.Text.Json.Nodes;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The config.json and generation_config.json of a Llama model.</summary>
internal static class HuggingFaceConfigWriter
{
    /// <summary>Writes both files.</summary>
    public static void Write(LlamaConfig config, WeightFormat type, string folder)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), Config(config, type).ToJsonString());
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), new JsonObject
        {
            ["bos_token_id"] = config.BosToken,
            ["eos_token_id"] = EosTokens(config),
        }.ToJsonString());
    }

    private static JsonObject Config(LlamaConfig config, WeightFormat type) => new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["attention_bias"] = false,
        ["mlp_bias"] = false,
        ["hidden_act"] = "silu",
        ["hidden_size"] = config.HiddenSize,
        ["intermediate_size"] = config.IntermediateSize,
        ["num_hidden_layers"] = config.LayerCount,
        ["num_attention_heads"] = config.HeadCount,
        ["num_key_value_heads"] = config.KvHeadCount,
        ["head_dim"] = config.HeadDim,
        ["vocab_size"] = config.VocabularySize,
        ["max_position_embeddings"] = config.ContextLength,
        ["rms_norm_eps"] = config.RmsNormEpsilon,
        ["rope_theta"] = config.RopeTheta,
        ["rope_scaling"] = config.RopeScaling is not RopeScaling scaling ? null : new JsonObject
        {
            ["rope_type"] = "llama3",
            ["factor"] = scaling.Factor,
            ["low_freq_factor"] = scaling.LowFrequencyFactor,
            ["high_freq_factor"] = scaling.HighFrequencyFactor,
            ["original_max_position_embeddings"] = scaling.OriginalContextLength,
        },
        ["tie_word_embeddings"] = config.TiedHead,
        ["bos_token_id"] = config.BosToken,
        ["eos_token_id"] = EosTokens(config),
        ["torch_dtype"] = type switch
        {
            WeightFormat.F32 => "float32",
            WeightFormat.F16 => "float16",
            WeightFormat.BF16 => "bfloat16",
            _ => throw new ArgumentOutOfRangeException(nameof(type), type, "safetensors files of Llama models are not quantized"),
        },
    };

    private static JsonArray EosTokens(LlamaConfig config) => [.. config.EosTokens.Select(token => JsonValue.Create(token))];
}
