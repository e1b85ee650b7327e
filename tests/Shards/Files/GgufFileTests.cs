using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Shards.Tests.Files;

public sealed class GgufFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    public void A_valid_file_must_give_its_configuration(uint version)
    {
        TestGguf gguf = TestGguf.Model();
        gguf.Version = version;
        using ModelFile model = Open(gguf);

        Assert.Equal(TestGguf.Hidden, model.Config.HiddenSize);
        Assert.Equal(TestGguf.Intermediate, model.Config.IntermediateSize);
        Assert.Equal(TestGguf.Layers, model.Config.LayerCount);
        Assert.Equal(TestGguf.Heads, model.Config.HeadCount);
        Assert.Equal(TestGguf.KvHeads, model.Config.KvHeadCount);
        Assert.Equal(TestGguf.HeadDim, model.Config.HeadDim);
        Assert.Equal(TestGguf.Vocabulary, model.Config.VocabularySize);
        Assert.Equal(64, model.Config.ContextLength);
        Assert.Equal(1e-5f, model.Config.RmsNormEpsilon);
        Assert.Equal(500000, model.Config.RopeTheta);
        Assert.Equal(1, model.Config.BosToken);
        Assert.Equal([2], model.Config.EosTokens);
        Assert.False(model.Config.TiedHead);
        Assert.Equal(RopePairing.Adjacent, model.Pairing);
        Assert.Equal("tiny test", model.Name);
    }

    [Fact]
    public void Every_tensor_must_have_the_bytes_that_the_file_has_for_it()
    {
        TestGguf gguf = TestGguf.Model();
        using ModelFile model = Open(gguf);

        (TensorRole Role, int Layer, string Name)[] tensors =
        [
            (TensorRole.TokenEmbedding, 0, "token_embd.weight"), (TensorRole.OutputNorm, 0, "output_norm.weight"), (TensorRole.OutputHead, 0, "output.weight"),
            (TensorRole.AttentionNorm, 1, "blk.1.attn_norm.weight"), (TensorRole.Query, 1, "blk.1.attn_q.weight"), (TensorRole.Key, 1, "blk.1.attn_k.weight"),
            (TensorRole.Value, 0, "blk.0.attn_v.weight"), (TensorRole.AttentionOutput, 1, "blk.1.attn_output.weight"), (TensorRole.FeedForwardNorm, 0, "blk.0.ffn_norm.weight"),
            (TensorRole.Gate, 1, "blk.1.ffn_gate.weight"), (TensorRole.Up, 1, "blk.1.ffn_up.weight"), (TensorRole.Down, 1, "blk.1.ffn_down.weight"),
        ];
        foreach ((TensorRole role, int layer, string name) in tensors)
            Assert.Equal(ModelFileAssert.Floats(gguf[name].Data), ModelFileAssert.Values(model.Tensor(role, layer)));
        TensorData down = model.Tensor(TensorRole.Down, 1);
        Assert.Equal((WeightFormat.F32, TestGguf.Hidden, TestGguf.Intermediate), (down.Format, down.Rows, down.Columns));
    }

    [Fact]
    public void A_file_without_a_head_must_be_tied_to_its_embedding()
    {
        TestGguf gguf = TestGguf.Model();
        gguf.Tensors.Remove(gguf["output.weight"]);
        using ModelFile model = Open(gguf);

        Assert.True(model.Config.TiedHead);
        Assert.Equal(model.Tensor(TensorRole.TokenEmbedding), model.Tensor(TensorRole.OutputHead));
    }

    [Fact]
    public void The_vocabulary_must_come_from_the_embedding_if_the_metadata_does_not_state_it()
    {
        using ModelFile model = Open(TestGguf.Model().Remove("llama.vocab_size"));
        Assert.Equal(TestGguf.Vocabulary, model.Config.VocabularySize);
    }

    [Fact]
    public void Rope_freqs_must_divide_the_base_frequencies()
    {
        TestGguf gguf = TestGguf.Model();
        using ModelFile plain = Open(gguf);
        gguf.Tensors.Add(new TestGguf.Tensor("rope_freqs.weight", 0, [.. BitConverter.GetBytes(1f), .. BitConverter.GetBytes(8f)], 2));
        using ModelFile scaled = Open(gguf);

        Assert.Equal([1.0, Math.Pow(500000, -0.5)], plain.RopeFrequencies);
        Assert.Equal([1.0, Math.Pow(500000, -0.5) / 8], scaled.RopeFrequencies);
    }

    [Fact]
    public void End_tokens_must_be_gathered_from_keys_and_from_the_vocabulary()
    {
        string[] tokens = [.. Enumerable.Range(0, TestGguf.Vocabulary).Select(i => $"t{i}")];
        tokens[20] = "<|eot_id|>";
        tokens[21] = "<|eom_id|>";
        using ModelFile model = Open(TestGguf.Model().Set("tokenizer.ggml.tokens", tokens).Set("tokenizer.ggml.eot_token_id", 5u));

        Assert.Equal([2, 5, 20, 21], model.Config.EosTokens);
    }

    [Fact]
    public void Metadata_of_every_type_must_be_readable()
    {
        TestGguf gguf = TestGguf.Model()
            .SetRaw("a.u8", 0, [200]).SetRaw("a.i8", 1, [0xFF]).SetRaw("a.u16", 2, [1, 2]).SetRaw("a.i16", 3, [0xFE, 0xFF])
            .SetRaw("a.i32", 5, BitConverter.GetBytes(-7)).SetRaw("a.bool", 7, [1]).SetRaw("a.u64", 10, BitConverter.GetBytes(1UL << 40))
            .SetRaw("a.i64", 11, BitConverter.GetBytes(-1L << 40)).SetRaw("a.f64", 12, BitConverter.GetBytes(0.1))
            .SetRaw("b.i32", 9, [.. TestGguf.Array(5, 2), .. BitConverter.GetBytes(3), .. BitConverter.GetBytes(-4)])
            .SetRaw("b.f32", 9, [.. TestGguf.Array(6, 1), .. BitConverter.GetBytes(1.5f)])
            .SetRaw("b.bool", 9, [.. TestGguf.Array(7, 2), 0, 1])
            .SetRaw("b.nested", 9, [.. TestGguf.Array(9, 1), .. TestGguf.Array(0, 3), 1, 2, 3])
            .SetRaw("b.empty", 9, TestGguf.Array(8, 0))
            .Set("b.text", "é", "");
        using ModelFile model = Open(gguf);
        GgufMetadata metadata = ((GgufFile)model).Metadata;

        Assert.Equal((200, -1, 0x0201, -2), (metadata.GetInteger("a.u8"), metadata.GetInteger("a.i8"), metadata.GetInteger("a.u16"), metadata.GetInteger("a.i16")));
        Assert.Equal((-7, 1L << 40, -1L << 40), (metadata.GetInteger("a.i32"), metadata.GetInteger("a.u64"), metadata.GetInteger("a.i64")));
        Assert.True(metadata.GetBoolean("a.bool"));
        Assert.Equal(0.1, metadata.GetNumber("a.f64"));
        Assert.Equal(-7, metadata.GetNumber("a.i32"));
        Assert.Equal([3, -4], metadata.GetIntegers("b.i32")!);
        Assert.Equal([1.5f], metadata.GetNumbers("b.f32")!);
        Assert.Equal([false, true], (bool[])metadata.Values["b.bool"]);
        Assert.Equal([1, 2, 3], (byte[])((object[])metadata.Values["b.nested"]).Single());
        Assert.Equal(["é", ""], metadata.GetStrings("b.text")!);
        Assert.Empty(metadata.GetStrings("b.empty")!);
        Assert.Null(metadata.GetString("absent"));
        Assert.Throws<ModelFileException>(() => metadata.GetString("a.u8"));
        Assert.Throws<ModelFileException>(() => metadata.GetInteger("b.text"));
        Assert.Throws<ModelFileException>(() => metadata.GetNumber("general.name"));
        Assert.Throws<ModelFileException>(() => metadata.GetStrings("b.i32"));
    }

    [Theory]
    [InlineData(1u, WeightFormat.F16)]
    [InlineData(30u, WeightFormat.BF16)]
    [InlineData(8u, WeightFormat.Q8_0)]
    [InlineData(2u, WeightFormat.Q4_0)]
    [InlineData(12u, WeightFormat.Q4_K)]
    [InlineData(13u, WeightFormat.Q5_K)]
    [InlineData(14u, WeightFormat.Q6_K)]
    public void Every_format_of_the_devices_must_be_accepted(uint type, WeightFormat format)
    {
        const int width = 256;
        TestGguf gguf = TestGguf.Model().Set("llama.feed_forward_length", (uint)width);
        byte[] down = [.. Enumerable.Range(0, (int)(TestGguf.Hidden * format.RowBytes(width))).Select(i => (byte)i)];
        for (int i = 0; i < TestGguf.Layers; i++)
        {
            foreach (string name in (ReadOnlySpan<string>)["gate", "up"])
            {
                gguf[$"blk.{i}.ffn_{name}.weight"].Dimensions = [TestGguf.Hidden, width];
                gguf[$"blk.{i}.ffn_{name}.weight"].Data = new byte[4 * TestGguf.Hidden * width];
            }

            TestGguf.Tensor tensor = gguf[$"blk.{i}.ffn_down.weight"];
            (tensor.Type, tensor.Dimensions, tensor.Data) = (type, [width, TestGguf.Hidden], down);
        }

        using ModelFile model = Open(gguf);
        TensorData data = model.Tensor(TensorRole.Down, 1);
        Assert.Equal((format, TestGguf.Hidden, width), (data.Format, data.Rows, data.Columns));
        Assert.Equal(down.AsSpan(^100..), data.Row(TestGguf.Hidden - 1)[^100..]);
    }

    [Fact]
    public void Another_alignment_must_be_honoured()
    {
        TestGguf gguf = TestGguf.Model().Set("general.alignment", 512u);
        gguf.Alignment = 512;
        using ModelFile model = Open(gguf);
        Assert.Equal(ModelFileAssert.Floats(gguf["blk.1.attn_k.weight"].Data), ModelFileAssert.Values(model.Tensor(TensorRole.Key, 1)));
    }

    [Fact]
    public void A_file_without_an_extension_must_be_known_by_its_magic()
    {
        using ModelFile model = ModelFile.Open(_folder.Write("sha256-0123", TestGguf.Model().Remove("general.name").Build()));
        Assert.Equal("sha256-0123", model.Name);
    }

    [Fact]
    public void A_tensor_beyond_the_layers_must_be_refused()
    {
        using ModelFile model = Open(TestGguf.Model());
        Assert.Throws<ModelFileException>(() => model.Tensor(TensorRole.Query, TestGguf.Layers));
        Assert.Throws<ModelFileException>(() => model.Tensor(TensorRole.Query, -1));
    }

    [Fact]
    public void A_disposed_model_must_not_give_addresses()
    {
        ModelFile model = Open(TestGguf.Model());
        model.Dispose();
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.Tensor(TensorRole.Query));
    }

    [SharedFact]
    public void The_shared_random_model_must_open()
    {
        using ModelFile model = ModelFile.Open(SharedModels.At("models", "llama-2-tiny-random.gguf"));

        Assert.Equal((8, 32, 1, 2, 4, 32000), (model.Config.HiddenSize, model.Config.IntermediateSize, model.Config.LayerCount,
            model.Config.HeadCount, model.Config.HeadDim, model.Config.VocabularySize));
        Assert.Equal(10000, model.Config.RopeTheta);
        Assert.Equal(WeightFormat.F16, model.Tensor(TensorRole.OutputHead).Format);
        Assert.Equal(WeightFormat.F32, model.Tensor(TensorRole.OutputNorm).Format);
        Assert.All(ModelFileAssert.Values(model.Tensor(TensorRole.Down)), value => Assert.InRange(value, -1, 1));
        Assert.Equal("<unk>", ((GgufFile)model).Metadata.GetStrings("tokenizer.ggml.tokens")![0]);
        Assert.Equal(32000, ((GgufFile)model).Metadata.GetNumbers("tokenizer.ggml.scores")!.Count);
    }

    private ModelFile Open(TestGguf gguf) => ModelFile.Open(_folder.Write($"{Guid.NewGuid():N}.gguf", gguf.Build()));
}
