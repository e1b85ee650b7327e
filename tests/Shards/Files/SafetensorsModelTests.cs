using System.Text.Json.Nodes;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Tests.Files;

public sealed class SafetensorsModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_valid_folder_must_give_its_configuration()
    {
        using ModelFile model = Open(TestSafetensors.Model());

        Assert.Equal(
            new LlamaConfig
            {
                HiddenSize = TestSafetensors.Hidden,
                IntermediateSize = TestSafetensors.Intermediate,
                LayerCount = TestSafetensors.Layers,
                HeadCount = TestSafetensors.Heads,
                KvHeadCount = TestSafetensors.KvHeads,
                HeadDim = TestSafetensors.HeadDim,
                VocabularySize = TestSafetensors.Vocabulary,
                ContextLength = 64,
                RmsNormEpsilon = 1e-5f,
                RopeTheta = 500000,
                BosToken = 1,
                EosTokens = model.Config.EosTokens,
            },
            model.Config);
        Assert.Equal([2], model.Config.EosTokens);
        Assert.Equal(RopePairing.Halves, model.Pairing);
        Assert.Equal(Path.GetFileName(_folder.Path), model.Name);
    }

    [Fact]
    public void Every_tensor_must_have_the_bytes_that_the_file_has_for_it()
    {
        TestSafetensors file = TestSafetensors.Model();
        using ModelFile model = Open(file);
        (TensorRole Role, int Layer, string Name)[] tensors =
        [
            (TensorRole.TokenEmbedding, 0, "model.embed_tokens.weight"), (TensorRole.OutputNorm, 0, "model.norm.weight"), (TensorRole.OutputHead, 0, "lm_head.weight"),
            (TensorRole.AttentionNorm, 1, "model.layers.1.input_layernorm.weight"), (TensorRole.Query, 1, "model.layers.1.self_attn.q_proj.weight"),
            (TensorRole.Key, 1, "model.layers.1.self_attn.k_proj.weight"), (TensorRole.Value, 0, "model.layers.0.self_attn.v_proj.weight"),
            (TensorRole.AttentionOutput, 1, "model.layers.1.self_attn.o_proj.weight"), (TensorRole.FeedForwardNorm, 0, "model.layers.0.post_attention_layernorm.weight"),
            (TensorRole.Gate, 1, "model.layers.1.mlp.gate_proj.weight"), (TensorRole.Up, 1, "model.layers.1.mlp.up_proj.weight"), (TensorRole.Down, 1, "model.layers.1.mlp.down_proj.weight"),
        ];
        foreach ((TensorRole role, int layer, string name) in tensors)
        {
            JsonNode range = file.Header[name]!["data_offsets"]!;
            byte[] bytes = [.. file.Data[(int)range[0]!..(int)range[1]!]];
            Assert.Equal(ModelFileAssert.Floats(bytes), ModelFileAssert.Values(model.Tensor(role, layer)));
        }
    }

    [Fact]
    public void A_file_path_must_open_with_the_configuration_beside_it()
    {
        TestSafetensors.Model().WriteTo(_folder);
        using ModelFile model = ModelFile.Open(_folder.At("model.safetensors"));
        Assert.Equal("model", model.Name);
        Assert.Equal(TestSafetensors.Layers, model.Config.LayerCount);
    }

    [Fact]
    public void Shards_must_open_through_their_index()
    {
        (TestSafetensors whole, byte[] first, byte[] second, JsonObject map) = Sharded();
        _folder.Write("config.json", whole.Config.ToJsonString());
        _folder.Write("model-00001-of-00002.safetensors", first);
        _folder.Write("model-00002-of-00002.safetensors", second);
        _folder.Write("model.safetensors.index.json", new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = map }.ToJsonString());
        using ModelFile sharded = ModelFile.Open(_folder.Path);

        using var other = new TemporaryFolder();
        whole.WriteTo(other);
        using ModelFile single = ModelFile.Open(other.Path);
        Assert.Equal(single.Fingerprint, sharded.Fingerprint);
        Assert.Equal(ModelFileAssert.Values(single.Tensor(TensorRole.Down, 1)), ModelFileAssert.Values(sharded.Tensor(TensorRole.Down, 1)));
    }

    [Theory]
    [InlineData("lm_head.weight")]
    [InlineData("model.embed_tokens.weight")]
    public void A_tied_model_may_lack_either_name(string absent)
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config["tie_word_embeddings"] = true;
        float[] kept = ModelFileAssert.Floats([.. absent == "lm_head.weight" ? file.Data[..2048] : file.Data[^2048..]]);
        file.Header.Remove(absent);
        if (absent == "lm_head.weight")
            file.Data.RemoveRange(file.Data.Count - 2048, 2048);
        using ModelFile model = Open(file);

        Assert.Equal(kept, ModelFileAssert.Values(model.Tensor(TensorRole.TokenEmbedding)));
        Assert.Equal(kept, ModelFileAssert.Values(model.Tensor(TensorRole.OutputHead)));
    }

    [Fact]
    public void A_tied_model_with_both_names_must_use_the_embedding()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config["tie_word_embeddings"] = true;
        using ModelFile model = Open(file);
        Assert.Equal(ModelFileAssert.Floats([.. file.Data[..2048]]), ModelFileAssert.Values(model.Tensor(TensorRole.OutputHead)));
    }

    [Theory]
    [InlineData("F16", WeightFormat.F16)]
    [InlineData("BF16", WeightFormat.BF16)]
    public void Half_sized_elements_must_be_accepted(string type, WeightFormat format)
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Header.Remove("lm_head.weight");
        file.Data.RemoveRange(file.Data.Count - 2048, 2048);
        file.Add("lm_head.weight", type, [.. Enumerable.Range(0, 1024).Select(i => (byte)(i % 60))], TestSafetensors.Vocabulary, TestSafetensors.Hidden);
        using ModelFile model = Open(file);
        TensorData head = model.Tensor(TensorRole.OutputHead);
        Assert.Equal(format, head.Format);
        Assert.Equal([30, 31], head.Row(16)[30..32].ToArray().Select((b, i) => (byte)(b + (30 + i) - ((512 + 30 + i) % 60))));
    }

    [Fact]
    public void Holes_frequencies_of_old_converters_and_empty_tensors_must_be_accepted()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Data.AddRange(new byte[12]);
        file.AddFloats(new Random(3), "model.layers.0.self_attn.rotary_emb.inv_freq", 2);
        file.Add("model.layers.1.self_attn.rotary_emb.inv_freq", "I64", [], 0, 7);
        using ModelFile model = Open(file);
        Assert.Equal(TestSafetensors.Hidden, model.Config.HiddenSize);
    }

    [Fact]
    public void The_fingerprint_must_not_depend_on_where_the_model_is()
    {
        using ModelFile here = Open(TestSafetensors.Model());
        using var other = new TemporaryFolder();
        TestSafetensors.Model().WriteTo(other);
        using ModelFile there = ModelFile.Open(other.Path);
        Assert.Equal(here.Fingerprint, there.Fingerprint);
        Assert.Matches("^[0-9a-f]{64}$", here.Fingerprint);
    }

    [Theory]
    [InlineData("weights")]
    [InlineData("configuration")]
    [InlineData("end tokens")]
    [InlineData("rope")]
    public void The_fingerprint_must_change_with_the_model(string what)
    {
        using ModelFile original = Open(TestSafetensors.Model());
        TestSafetensors changed = TestSafetensors.Model(what == "weights" ? 2 : 1);
        changed.Config["max_position_embeddings"] = what == "configuration" ? 65 : 64;
        changed.Config["eos_token_id"] = what == "end tokens" ? 3 : 2;
        changed.Config["rope_theta"] = what == "rope" ? 10000 : 500000;
        using var other = new TemporaryFolder();
        changed.WriteTo(other);
        using ModelFile model = ModelFile.Open(other.Path);
        Assert.NotEqual(original.Fingerprint, model.Fingerprint);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8192)]
    [InlineData(16383)]
    public void The_fingerprint_must_sample_the_start_middle_and_end_of_a_tensor(int changedByte)
    {
        const int vocabulary = 256;
        TestSafetensors file = TestSafetensors.Model(vocabulary: vocabulary);
        using ModelFile original = Open(file);
        file.Data[changedByte] ^= 1;
        using var other = new TemporaryFolder();
        file.WriteTo(other);
        using ModelFile changed = ModelFile.Open(other.Path);
        Assert.NotEqual(original.Fingerprint, changed.Fingerprint);
    }

    [Fact]
    public void The_demo_model_must_open()
    {
        using ModelFile model = ModelFile.Open(SharedModels.Demo);
        Assert.Equal((128, 8, 4, 2, 32, 2048), (model.Config.HiddenSize, model.Config.LayerCount, model.Config.HeadCount,
            model.Config.KvHeadCount, model.Config.HeadDim, model.Config.VocabularySize));
        Assert.Equal([2033, 2037, 2038], model.Config.EosTokens);
        Assert.Equal(WeightFormat.BF16, model.Tensor(TensorRole.OutputHead).Format);
        Assert.Equal("demo", model.Name);
    }

    [SharedTheory]
    [InlineData("stories260k", 64, 512, WeightFormat.F32)]
    [InlineData("tinystories-656k", 128, 2048, WeightFormat.BF16)]
    [InlineData("tinystories-656k-f32", 128, 2048, WeightFormat.F32)]
    public void The_shared_models_must_open(string name, int hidden, int vocabulary, WeightFormat format)
    {
        using ModelFile model = ModelFile.Open(SharedModels.At("models", name));
        Assert.Equal((hidden, vocabulary, true), (model.Config.HiddenSize, model.Config.VocabularySize, model.Config.TiedHead));
        TensorData embedding = model.Tensor(TensorRole.TokenEmbedding);
        Assert.Equal((format, vocabulary, hidden), (embedding.Format, embedding.Rows, embedding.Columns));
        Assert.All(ModelFileAssert.Values(model.Tensor(TensorRole.Down, 1)), value => Assert.InRange(value, -20, 20));
    }

    [SharedFact]
    public void The_two_precisions_of_one_shared_model_must_agree()
    {
        using ModelFile half = ModelFile.Open(SharedModels.At("models", "tinystories-656k"));
        using ModelFile full = ModelFile.Open(SharedModels.At("models", "tinystories-656k-f32"));
        foreach (TensorRole role in Enum.GetValues<TensorRole>())
        {
            float[] rounded = ModelFileAssert.Values(half.Tensor(role, 1)), exact = ModelFileAssert.Values(full.Tensor(role, 1));
            Assert.Equal(rounded, exact.Select(value => Bf16.ToSingle(Bf16.FromSingle(value))));
        }
    }

    /// <summary>A model whole and in two shards that take its tensors in turn.</summary>
    internal static (TestSafetensors Whole, byte[] First, byte[] Second, JsonObject Map) Sharded()
    {
        TestSafetensors whole = TestSafetensors.Model();
        var shards = new[] { new TestSafetensors(), new TestSafetensors() };
        var map = new JsonObject();
        int next = 0;
        foreach ((string name, JsonNode? tensor) in whole.Header.Where(pair => pair.Key != "__metadata__"))
        {
            int shard = next++ % 2;
            int begin = (int)tensor!["data_offsets"]![0]!, end = (int)tensor["data_offsets"]![1]!;
            shards[shard].Add(name, "F32", [.. whole.Data[begin..end]], [.. tensor["shape"]!.AsArray().Select(d => (int)d!)]);
            map[name] = $"model-0000{shard + 1}-of-00002.safetensors";
        }

        return (whole, shards[0].Build(), shards[1].Build(), map);
    }

    private ModelFile Open(TestSafetensors file)
    {
        file.WriteTo(_folder);
        return ModelFile.Open(_folder.Path);
    }
}
