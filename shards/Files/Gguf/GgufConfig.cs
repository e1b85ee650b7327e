using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>The model's shape as a GGUF file's metadata states it.</summary>
internal static class GgufConfig
{
    private const string Tokens = "tokenizer.ggml.tokens";

    // Files made before the eot/eom keys existed name only one end token; the texts of Llama 3's vocabulary give the others.
    private static readonly string[] EndTexts = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"];

    /// <summary>Reads and checks the configuration.</summary>
    /// <exception cref="ModelFileException">The file has another architecture, or states something that is not supported.</exception>
    public static LlamaConfig Read(string path, GgufHeader header)
    {
        GgufMetadata metadata = header.Metadata;
        string? architecture = metadata.GetString("general.architecture");
        if (architecture != "llama")
            throw new ModelFileException($"{path}: general.architecture is \"{architecture}\"; only \"llama\" is supported");
        if (metadata.GetInteger("split.count") is > 1 and long parts)
            throw new ModelFileException($"{path} is one of {parts} parts; join them with llama-gguf-split --merge");
        if (metadata.GetInteger("llama.expert_count") is > 0 and long experts)
            throw new ModelFileException($"{path}: llama.expert_count is {experts}; mixtures of experts are not supported");
        RequireNoScaling(path, metadata);

        int hidden = Required(path, metadata, "llama.embedding_length");
        int heads = Required(path, metadata, "llama.attention.head_count");
        int headDim = HeadDim(path, metadata, hidden, heads);
        int vocabulary = Optional(path, metadata, "llama.vocab_size") ?? EmbeddingRows(path, header);
        if (metadata.GetStrings(Tokens) is { } tokens && tokens.Count > vocabulary)
            throw new ModelFileException($"{path}: {Tokens} has {tokens.Count} tokens, but the embedding has {vocabulary}");

        return new LlamaConfig
        {
            HiddenSize = hidden,
            IntermediateSize = Required(path, metadata, "llama.feed_forward_length"),
            LayerCount = Required(path, metadata, "llama.block_count"),
            HeadCount = heads,
            KvHeadCount = Optional(path, metadata, "llama.attention.head_count_kv") ?? heads,
            HeadDim = headDim,
            VocabularySize = vocabulary,
            ContextLength = Required(path, metadata, "llama.context_length"),
            RmsNormEpsilon = (float)(metadata.GetNumber("llama.attention.layer_norm_rms_epsilon")
                ?? throw Absent(path, "llama.attention.layer_norm_rms_epsilon")),
            RopeTheta = metadata.GetNumber("llama.rope.freq_base") ?? 10000,
            BosToken = Optional(path, metadata, "tokenizer.ggml.bos_token_id"),
            EosTokens = EosTokens(path, metadata),
            TiedHead = !header.Tensors.ContainsKey(GgufTensorNames.OutputHead),
        };
    }

    private static int HeadDim(string path, GgufMetadata metadata, int hidden, int heads)
    {
        const string key = "llama.attention.key_length";
        int keys = Optional(path, metadata, key) ?? LlamaConfigLimits.DefaultHeadDim(path, hidden, heads, key);
        int values = Optional(path, metadata, "llama.attention.value_length") ?? keys;
        int rotated = Optional(path, metadata, "llama.rope.dimension_count") ?? keys;
        if (values != keys || rotated != keys)
            throw new ModelFileException($"{path}: keys of {keys} elements, values of {values} and {rotated} rotated ones; "
                + "a Llama model has one head dimension");
        return keys;
    }

    private static void RequireNoScaling(string path, GgufMetadata metadata)
    {
        string type = metadata.GetString("llama.rope.scaling.type") ?? "linear";
        double factor = metadata.GetNumber("llama.rope.scaling.factor") ?? metadata.GetNumber("llama.rope.scale_linear") ?? 1;
        bool scaled = type switch
        {
            "none" => false,
            "linear" => factor is not (0 or 1),
            _ => true,
        };
        if (scaled)
            throw new ModelFileException($"{path}: RoPE scaling \"{type}\" with factor {factor} is not supported; "
                + $"Llama 3's own scaling comes as {GgufTensorNames.RopeDivisors}");
    }

    private static int EmbeddingRows(string path, GgufHeader header)
    {
        string name = GgufTensorNames.Of(TensorRole.TokenEmbedding, 0);
        if (!header.Tensors.TryGetValue(name, out TensorEntry? embedding))
            throw new ModelFileException($"{path} lacks tensor {name}");
        return (int)embedding.Shape[0];
    }

    private static int[] EosTokens(string path, GgufMetadata metadata)
    {
        var tokens = new SortedSet<int>();
        foreach (string key in (ReadOnlySpan<string>)["eos_token_id", "eot_token_id", "eom_token_id"])
        {
            if (Optional(path, metadata, $"tokenizer.ggml.{key}") is int token)
                tokens.Add(token);
        }

        if (metadata.GetStrings(Tokens) is { } vocabulary)
        {
            for (int i = 0; i < vocabulary.Count; i++)
            {
                if (EndTexts.Contains(vocabulary[i]))
                    tokens.Add(i);
            }
        }

        return [.. tokens];
    }

    private static int Required(string path, GgufMetadata metadata, string key) =>
        Optional(path, metadata, key) ?? throw Absent(path, key);

    private static int? Optional(string path, GgufMetadata metadata, string key) => metadata.GetInteger(key) switch
    {
        null => null,
        >= 0 and <= int.MaxValue and long value => (int)value,
        long value => throw new ModelFileException($"{path}: {key} is {value}; it must be from 0 to {int.MaxValue}"),
    };

    private static ModelFileException Absent(string path, string key) => new($"{path} lacks the metadata {key}");
}
