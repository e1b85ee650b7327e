using System.Text.Json;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Files.Safetensors;

/// <summary>The model's shape as a Hugging Face folder's config.json states it, with the end tokens of generation_config.json.</summary>
internal static class HuggingFaceConfig
{
    private const int FileLimit = 1 << 20;
    private const int EosLimit = 64;

    /// <summary>Reads the configuration; sizes are checked by the caller.</summary>
    /// <param name="configPath">config.json.</param>
    /// <param name="generationPath">generation_config.json; it need not exist.</param>
    /// <exception cref="ModelFileException">Another architecture, or something that is not supported.</exception>
    public static LlamaConfig Read(string configPath, string generationPath)
    {
        using JsonDocument document = JsonFile.Read(configPath, FileLimit);
        var root = new JsonSettings(configPath, document.RootElement);
        RequireSupported(root);

        int hidden = root.Integer("hidden_size");
        int heads = root.Integer("num_attention_heads");
        var eos = new SortedSet<int>(EosTokens(root));
        if (File.Exists(generationPath))
        {
            using JsonDocument generation = JsonFile.Read(generationPath, FileLimit);
            eos.UnionWith(EosTokens(new JsonSettings(generationPath, generation.RootElement)));
        }

        // Newer files group the base and the scaling under rope_parameters.
        JsonSettings? rope = root.OptionalObject("rope_parameters") ?? root.OptionalObject("rope_scaling");
        return new LlamaConfig
        {
            HiddenSize = hidden,
            IntermediateSize = root.Integer("intermediate_size"),
            LayerCount = root.Integer("num_hidden_layers"),
            HeadCount = heads,
            KvHeadCount = root.OptionalInteger("num_key_value_heads") ?? heads,
            HeadDim = root.OptionalInteger("head_dim") ?? LlamaConfigLimits.DefaultHeadDim(configPath, hidden, heads, "head_dim"),
            VocabularySize = root.Integer("vocab_size"),
            ContextLength = root.Integer("max_position_embeddings"),
            RmsNormEpsilon = (float)root.Number("rms_norm_eps"),
            RopeTheta = root.OptionalNumber("rope_theta") ?? rope?.OptionalNumber("rope_theta") ?? 10000,
            RopeScaling = rope is null ? null : Scaling(rope.Value),
            BosToken = root.OptionalInteger("bos_token_id"),
            EosTokens = [.. eos],
            TiedHead = root.OptionalBoolean("tie_word_embeddings") ?? false,
        };
    }

    private static void RequireSupported(JsonSettings root)
    {
        string type = root.OptionalText("model_type") ?? "llama";
        string[] architectures = root.Texts("architectures");
        if (type != "llama" || (architectures.Length > 0 && !architectures.Contains("LlamaForCausalLM")))
            throw new ModelFileException($"{root.Path}: the model is {(architectures.Length > 0 ? architectures[0] : "unnamed")} "
                + $"of type {type}; only LlamaForCausalLM of type llama is supported");
        if (architectures.Length == 0 && root.OptionalText("model_type") is null)
            throw new ModelFileException($"{root.Path} states neither architectures nor model_type, "
                + "so it is not known to be a Llama model");
        foreach (string bias in (ReadOnlySpan<string>)["attention_bias", "mlp_bias"])
        {
            if (root.OptionalBoolean(bias) == true)
                throw new ModelFileException($"{root.Path}: {bias} is true; a Llama model's projections have no biases");
        }

        string activation = root.OptionalText("hidden_act") ?? "silu";
        if (activation != "silu")
            throw new ModelFileException($"{root.Path}: hidden_act is {activation}; only silu is supported");
        if (root.OptionalObject("quantization_config") is JsonSettings quantization)
            throw new ModelFileException($"{root.Path}: the weights are quantized "
                + $"({quantization.OptionalText("quant_method") ?? "unnamed"} in quantization_config); "
                + "use the unquantized model, or a GGUF file of it");
        if (root.OptionalNumber("partial_rotary_factor") is not (null or 1))
            throw new ModelFileException($"{root.Path}: partial_rotary_factor is {root.OptionalNumber("partial_rotary_factor")}; "
                + "only whole heads can be rotated");
    }

    private static RopeScaling? Scaling(JsonSettings rope)
    {
        string kind = rope.OptionalText("rope_type") ?? rope.OptionalText("type") ?? "default";
        return kind switch
        {
            "default" => null,
            "llama3" => new RopeScaling(
                rope.Number("factor"),
                rope.Number("low_freq_factor"),
                rope.Number("high_freq_factor"),
                rope.Integer("original_max_position_embeddings")),
            _ => throw new ModelFileException($"{rope.Path}: RoPE scaling of type {kind} is not supported; "
                + "\"llama3\" and \"default\" are"),
        };
    }

    private static int[] EosTokens(JsonSettings settings)
    {
        int[] tokens = settings.OptionalIntegers("eos_token_id");
        return tokens.Length <= EosLimit
            ? tokens
            : throw new ModelFileException($"{settings.Path}: eos_token_id has {tokens.Length} tokens; "
                + $"at most {EosLimit} are taken");
    }
}
