namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>The names of a Llama model's tensors in a GGUF file.</summary>
internal static class GgufTensorNames
{
    public const string OutputHead = "output.weight";

    /// <summary>The divisors of RoPE's base frequencies, in place of the rule that "llama3" scaling states in config.json.</summary>
    public const string RopeDivisors = "rope_freqs.weight";

    /// <summary>The name of a tensor by role.</summary>
    public static string Of(TensorRole role, int layer) => role switch
    {
        TensorRole.TokenEmbedding => "token_embd.weight",
        TensorRole.AttentionNorm => $"blk.{layer}.attn_norm.weight",
        TensorRole.Query => $"blk.{layer}.attn_q.weight",
        TensorRole.Key => $"blk.{layer}.attn_k.weight",
        TensorRole.Value => $"blk.{layer}.attn_v.weight",
        TensorRole.AttentionOutput => $"blk.{layer}.attn_output.weight",
        TensorRole.FeedForwardNorm => $"blk.{layer}.ffn_norm.weight",
        TensorRole.Gate => $"blk.{layer}.ffn_gate.weight",
        TensorRole.Up => $"blk.{layer}.ffn_up.weight",
        TensorRole.Down => $"blk.{layer}.ffn_down.weight",
        TensorRole.OutputNorm => "output_norm.weight",
        TensorRole.OutputHead => OutputHead,
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "unknown tensor role"),
    };
}
