using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The metadata of a byte-level BPE vocabulary.</summary>
internal static class VocabularyMetadata
{
    /// <summary>Sets it.</summary>
    public static void Set(GgufWriter writer, Vocabulary vocabulary)
    {
        writer.Set("tokenizer.ggml.model", "gpt2");
        writer.Set("tokenizer.ggml.pre", "llama-bpe");
        writer.Set("tokenizer.ggml.tokens", vocabulary.Tokens.ToArray());
        writer.Set("tokenizer.ggml.token_type", vocabulary.Types.Select(kind => (int)kind).ToArray());
        writer.Set("tokenizer.ggml.merges", vocabulary.Merges.ToArray());
        if (vocabulary.BosToken is int bos)
            writer.Set("tokenizer.ggml.bos_token_id", (uint)bos);
        if (vocabulary.EosTokens.Count > 0)
            writer.Set("tokenizer.ggml.eos_token_id", (uint)vocabulary.EosTokens[0]);
    }
}
