using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>Writes Hugging Face models for tests, valid ones and, by changing what it holds, any other.</summary>
internal sealed class TestSafetensors
{
    public const int Hidden = 16, Intermediate = 24, Layers = 2, Heads = 4, KvHeads = 2, HeadDim = 4, Vocabulary = 32;

    public JsonObject Config { get; } = JsonNode.Parse($$"""
        {
          "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "mlp_bias": false, "hidden_act": "silu",
          "hidden_size": {{Hidden}}, "intermediate_size": {{Intermediate}}, "num_hidden_layers": {{Layers}},
          "num_attention_heads": {{Heads}}, "num_key_value_heads": {{KvHeads}}, "head_dim": {{HeadDim}}, "vocab_size": {{Vocabulary}},
          "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "rope_scaling": null,
          "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false
        }
        """)!.AsObject();

    public JsonObject Header { get; } = new() { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };

    public List<byte> Data { get; } = [];

    /// <summary>A small valid model with an untied head, F32 weights.</summary>
    public static TestSafetensors Model(int seed = 1, int vocabulary = Vocabulary)
    {
        var file = new TestSafetensors();
        file.Config["vocab_size"] = vocabulary;
        var random = new Random(seed);
        file.AddFloats(random, "model.embed_tokens.weight", vocabulary, Hidden);
        for (int i = 0; i < Layers; i++)
        {
            string layer = $"model.layers.{i}.";
            file.AddFloats(random, layer + "input_layernorm.weight", Hidden);
            file.AddFloats(random, layer + "self_attn.q_proj.weight", Heads * HeadDim, Hidden);
            file.AddFloats(random, layer + "self_attn.k_proj.weight", KvHeads * HeadDim, Hidden);
            file.AddFloats(random, layer + "self_attn.v_proj.weight", KvHeads * HeadDim, Hidden);
            file.AddFloats(random, layer + "self_attn.o_proj.weight", Hidden, Heads * HeadDim);
            file.AddFloats(random, layer + "post_attention_layernorm.weight", Hidden);
            file.AddFloats(random, layer + "mlp.gate_proj.weight", Intermediate, Hidden);
            file.AddFloats(random, layer + "mlp.up_proj.weight", Intermediate, Hidden);
            file.AddFloats(random, layer + "mlp.down_proj.weight", Hidden, Intermediate);
        }

        file.AddFloats(random, "model.norm.weight", Hidden);
        file.AddFloats(random, "lm_head.weight", vocabulary, Hidden);
        return file;
    }

    public TestSafetensors AddFloats(Random random, string name, params int[] shape)
    {
        var data = new byte[4 * shape.Aggregate(1, (a, b) => a * b)];
        for (int i = 0; i < data.Length; i += 4)
            BinaryPrimitives.WriteSingleLittleEndian(data.AsSpan(i), random.NextSingle() - 0.5f);
        return Add(name, "F32", data, shape);
    }

    public TestSafetensors Add(string name, string type, byte[] data, params int[] shape)
    {
        Header[name] = new JsonObject
        {
            ["dtype"] = type,
            ["shape"] = new JsonArray([.. shape.Select(d => JsonValue.Create(d))]),
            ["data_offsets"] = new JsonArray(Data.Count, Data.Count + data.Length),
        };
        Data.AddRange(data);
        return this;
    }

    /// <summary>The file with another header text, byte for byte.</summary>
    public byte[] Build(string header) => Build(header, (ulong)Encoding.UTF8.GetByteCount(header));

    /// <summary>The file with another header text and stated length.</summary>
    public byte[] Build(string header, ulong statedLength) => [.. BitConverter.GetBytes(statedLength), .. Encoding.UTF8.GetBytes(header), .. Data];

    public byte[] Build() => Build(Header.ToJsonString());

    /// <summary>Writes config.json and model.safetensors.</summary>
    public void WriteTo(TemporaryFolder folder)
    {
        folder.Write("config.json", Config.ToJsonString());
        folder.Write("model.safetensors", Build());
    }
}
