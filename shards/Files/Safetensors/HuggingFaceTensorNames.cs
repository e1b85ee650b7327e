using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files.Safetensors;

/// <summary>The names of a Llama model's tensors in Hugging Face's files.</summary>
internal static class HuggingFaceTensorNames
{
    private const string Embedding = "model.embed_tokens.weight";
    private const string Head = "lm_head.weight";

    /// <summary>The names in a given model. Tied weights may be kept under either name.</summary>
    public static Func<TensorRole, int, string> For(LlamaConfig config, IReadOnlyDictionary<string, TensorEntry> entries)
    {
        bool underHead = config.TiedHead && !entries.ContainsKey(Embedding) && entries.ContainsKey(Head);
        return (role, layer) => role == TensorRole.TokenEmbedding && underHead ? Head : Of(role, layer);
    }

    /// <summary>
    /// Whether a Llama model may have a tensor without using it: the copy of a tied weight, and the frequencies that early
    /// converters stored.
    /// </summary>
    public static bool IsIgnored(LlamaConfig config, string name) =>
        (config.TiedHead && name == Head) || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);

    /// <summary>The usual name of a tensor by role.</summary>
    public static string Of(TensorRole role, int layer) => role switch
    {
        TensorRole.TokenEmbedding => Embedding,
        TensorRole.AttentionNorm => $"model.layers.{layer}.input_layernorm.weight",
        TensorRole.Query => $"model.layers.{layer}.self_attn.q_proj.weight",
        TensorRole.Key => $"model.layers.{layer}.self_attn.k_proj.weight",
        TensorRole.Value => $"model.layers.{layer}.self_attn.v_proj.weight",
        TensorRole.AttentionOutput => $"model.layers.{layer}.self_attn.o_proj.weight",
        TensorRole.FeedForwardNorm => $"model.layers.{layer}.post_attention_layernorm.weight",
        TensorRole.Gate => $"model.layers.{layer}.mlp.gate_proj.weight",
        TensorRole.Up => $"model.layers.{layer}.mlp.up_proj.weight",
        TensorRole.Down => $"model.layers.{layer}.mlp.down_proj.weight",
        TensorRole.OutputNorm => "model.norm.weight",
        TensorRole.OutputHead => Head,
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "unknown tensor role"),
    };
}
