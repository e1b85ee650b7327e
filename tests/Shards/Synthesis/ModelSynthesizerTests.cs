using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Writing;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Synthesis;

public sealed class ModelSynthesizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Both_forms_must_have_equal_weights_after_unpermuting()
    {
        using ModelFile gguf = Write(WeightFormat.F32, SynthesisFormat.Gguf), folder = Write(WeightFormat.F32, SynthesisFormat.HuggingFace);

        foreach ((TensorRole role, int layer) in TensorShapes.Required(gguf.Config))
        {
            float[] adjacent = ModelFileAssert.Values(gguf.Tensor(role, layer)), halves = ModelFileAssert.Values(folder.Tensor(role, layer));
            Assert.Equal(halves, role is TensorRole.Query or TensorRole.Key ? Unpermuted(adjacent, gguf.Config) : adjacent);
        }

        Assert.All(gguf.RopeFrequencies.Zip(folder.RopeFrequencies), pair => Assert.Equal(1, pair.First / pair.Second, 6));
        Assert.Contains(gguf.RopeFrequencies.Zip(RopeFrequencies.Compute(gguf.Config)), pair => pair.First < pair.Second / 7.9);
        Assert.Equal(
            folder.Config with { RopeScaling = null, EosTokens = [] },
            gguf.Config with { EosTokens = [] });
        Assert.Equal(folder.Config.EosTokens, gguf.Config.EosTokens);
    }

    [Fact]
    public void Equal_seeds_must_give_equal_files_on_any_number_of_threads()
    {
        SynthesisOptions options = Options("a.gguf", WeightFormat.Q8_0, SynthesisFormat.Gguf) with { Threads = 1 };
        ModelSynthesizer.Write(options);
        ModelSynthesizer.Write(options with { Output = _folder.At("b.gguf"), Threads = 3 });
        ModelSynthesizer.Write(options with { Output = _folder.At("c.gguf"), Seed = options.Seed + 1 });

        byte[] first = File.ReadAllBytes(_folder.At("a.gguf"));
        Assert.Equal(first, File.ReadAllBytes(_folder.At("b.gguf")));
        Assert.NotEqual(first, File.ReadAllBytes(_folder.At("c.gguf")));
    }

    [Fact]
    public void A_layer_must_not_depend_on_how_many_there_are()
    {
        using ModelFile two = Write(WeightFormat.BF16, SynthesisFormat.Gguf, layers: 2), three = Write(WeightFormat.BF16, SynthesisFormat.Gguf, layers: 3);
        Assert.Equal((2, 3), (two.Config.LayerCount, three.Config.LayerCount));
        Assert.Equal(ModelFileAssert.Values(two.Tensor(TensorRole.Up, 1)), ModelFileAssert.Values(three.Tensor(TensorRole.Up, 1)));
        Assert.NotEqual(ModelFileAssert.Values(three.Tensor(TensorRole.Up, 1)), ModelFileAssert.Values(three.Tensor(TensorRole.Up, 2)));
    }

    [Fact]
    public void Weights_must_have_the_size_that_keeps_activations_sane()
    {
        using ModelFile model = Write(WeightFormat.F32, SynthesisFormat.HuggingFace);
        foreach ((TensorRole role, int layer) in TensorShapes.Required(model.Config))
        {
            TensorData data = model.Tensor(role, layer);
            float[] values = ModelFileAssert.Values(data);
            double mean = values.Average(), deviation = Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
            double wanted = role.IsNorm() ? 0.1 : 1 / Math.Sqrt(data.Columns);
            Assert.InRange(mean, (role.IsNorm() ? 1 : 0) - (0.3 * wanted), (role.IsNorm() ? 1 : 0) + (0.3 * wanted));
            Assert.InRange(deviation / wanted, role.IsNorm() ? 0.8 : 0.97, role.IsNorm() ? 1.2 : 1.03);
        }
    }

    [Theory]
    [InlineData(WeightFormat.F16, WeightFormat.F16, 0.001)]
    [InlineData(WeightFormat.BF16, WeightFormat.BF16, 0.004)]
    [InlineData(WeightFormat.Q8_0, WeightFormat.Q8_0, 0.01)]
    [InlineData(WeightFormat.Q6_K, WeightFormat.Q6_K, 0.03)]
    [InlineData(WeightFormat.Q5_K, WeightFormat.Q6_K, 0.06)]
    [InlineData(WeightFormat.Q4_K, WeightFormat.Q6_K, 0.1)]
    [InlineData(WeightFormat.Q4_0, WeightFormat.Q6_K, 0.12)]
    public void Every_type_must_open_with_its_formats_and_stay_near_the_exact_weights(WeightFormat type, WeightFormat head, double tolerance)
    {
        using ModelFile exact = Write(WeightFormat.F32, SynthesisFormat.Gguf), rounded = Write(type, SynthesisFormat.Gguf);

        foreach ((TensorRole role, int layer) in TensorShapes.Required(exact.Config))
        {
            WeightFormat wanted = role.IsNorm() ? WeightFormat.F32 : role == TensorRole.OutputHead ? head : type;
            Assert.Equal(wanted, rounded.Tensor(role, layer).Format);
            float[] a = ModelFileAssert.Values(exact.Tensor(role, layer)), b = ModelFileAssert.Values(rounded.Tensor(role, layer));
            double error = Math.Sqrt(a.Zip(b, (x, y) => (double)(x - y) * (x - y)).Sum() / a.Sum(x => (double)x * x));
            Assert.InRange(error, 0, role.IsNorm() ? 0 : tolerance);
        }
    }

    [Theory]
    [InlineData(WeightFormat.F16)]
    [InlineData(WeightFormat.BF16)]
    public void A_folder_must_keep_all_tensors_in_its_type_and_norms_exactly(WeightFormat type)
    {
        using ModelFile exact = Write(WeightFormat.F32, SynthesisFormat.HuggingFace), rounded = Write(type, SynthesisFormat.HuggingFace);
        Assert.All(TensorShapes.Required(rounded.Config), tensor => Assert.Equal(type, rounded.Tensor(tensor.Role, tensor.Layer).Format));
        Assert.Equal(ModelFileAssert.Values(exact.Tensor(TensorRole.AttentionNorm, 1)), ModelFileAssert.Values(rounded.Tensor(TensorRole.AttentionNorm, 1)));
    }

    [Fact]
    public void Shards_must_hold_the_same_model_as_one_file()
    {
        using ModelFile single = Write(WeightFormat.BF16, SynthesisFormat.HuggingFace);
        SynthesisOptions options = Options("sharded", WeightFormat.BF16, SynthesisFormat.HuggingFace) with { ShardBytes = 1_000_000 };
        ModelSynthesizer.Write(options);
        using ModelFile sharded = ModelFile.Open(options.Output);

        Assert.Equal(single.Fingerprint, sharded.Fingerprint);
        string[] files = Directory.GetFiles(options.Output, "*.safetensors");
        Assert.InRange(files.Length, 2, 10);
        Assert.All(files, file => Assert.InRange(new FileInfo(file).Length, 1, 1_010_000));
    }

    [Fact]
    public void A_tokenizers_directory_must_give_the_vocabulary()
    {
        SynthesisOptions options = Options("m.gguf", WeightFormat.BF16, SynthesisFormat.Gguf) with { TokenizerDirectory = SharedModels.Demo };
        ModelSynthesizer.Write(options);
        ModelSynthesizer.Write(options with { Output = _folder.At("folder"), Format = SynthesisFormat.HuggingFace });
        using ModelFile gguf = ModelFile.Open(options.Output), folder = ModelFile.Open(_folder.At("folder")), demo = ModelFile.Open(SharedModels.Demo);

        // The demo's vocabulary of 2048 is larger than the tiny shape's.
        Assert.Equal((2048, 2048), (gguf.Config.VocabularySize, folder.Config.VocabularySize));
        Assert.Equal(demo.Config.BosToken, gguf.Config.BosToken);
        Assert.Equal(demo.Config.EosTokens, gguf.Config.EosTokens);
        Assert.Equal(demo.Config.EosTokens, folder.Config.EosTokens);
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(SharedModels.Demo, "tokenizer.json")), File.ReadAllBytes(Path.Combine(folder.Path, "tokenizer.json")));

        GgufMetadata metadata = ((GgufFile)gguf).Metadata;
        IReadOnlyList<string> tokens = metadata.GetStrings("tokenizer.ggml.tokens")!;
        Assert.Equal(2048, tokens.Count);
        Assert.Equal("<|begin_of_text|>", tokens[2032]);
        Assert.Equal((int)TokenType.Control, metadata.GetIntegers("tokenizer.ggml.token_type")![2032]);
        Assert.Equal((int)TokenType.Normal, metadata.GetIntegers("tokenizer.ggml.token_type")![0]);
        IReadOnlyList<string> merges = metadata.GetStrings("tokenizer.ggml.merges")!;
        Assert.Equal((1776, "h e", "Ġ t"), (merges.Count, merges[0], merges[1]));
    }

    [Fact]
    public void Progress_must_rise_to_the_total()
    {
        var reports = new Reports();
        SynthesisOptions options = Options("m.gguf", WeightFormat.F16, SynthesisFormat.Gguf);
        ModelSynthesizer.Write(options, reports);
        Assert.Equal(reports.Seen.Select(report => report.Bytes).Order(), reports.Seen.Select(report => report.Bytes));
        Assert.Equal(reports.Seen[^1].TotalBytes, reports.Seen[^1].Bytes);
        Assert.Contains(reports.Seen, report => report.Tensor == "blk.1.ffn_down.weight");
    }

    [Theory]
    [InlineData(SynthesisFormat.Gguf)]
    [InlineData(SynthesisFormat.HuggingFace)]
    public void A_cancelled_model_must_leave_nothing_behind(SynthesisFormat format)
    {
        using var cancellation = new CancellationTokenSource();
        var reports = new Reports(cancellation.Cancel);
        Assert.ThrowsAny<OperationCanceledException>(() =>
            ModelSynthesizer.Write(Options("m", WeightFormat.F32, format) with { Threads = 1 }, reports, cancellation.Token));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_failed_model_must_leave_nothing_behind()
    {
        var reports = new Reports(() => throw new IOException("No space left on device"));
        var error = Assert.Throws<ModelFileException>(() => ModelSynthesizer.Write(Options("m", WeightFormat.F32, SynthesisFormat.HuggingFace), reports));
        Assert.Contains("cannot be written: No space left on device", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Theory]
    [InlineData("no shape \"llama4\"; the shapes are llama3-8b, llama3-70b, llama3.2-1b, tiny", "shape")]
    [InlineData("takes F32, F16 and BF16, not Q8_0", "type")]
    [InlineData("number of layers is 0", "layers")]
    [InlineData("exists already", "output")]
    [InlineData("there is no folder", "parent")]
    [InlineData("no tokenizer.json in the tokenizer's folder", "tokenizer")]
    [InlineData("not valid JSON", "damaged tokenizer")]
    [InlineData("tokenizer of type Unigram", "unigram tokenizer")]
    [InlineData("numbered without gaps", "tokenizer with gaps")]
    [InlineData("0 threads", "threads")]
    public void Options_that_cannot_be_met_must_be_refused_with_the_reason(string messagePart, string what)
    {
        SynthesisOptions options = Options("m", WeightFormat.BF16, SynthesisFormat.HuggingFace);
        options = what switch
        {
            "shape" => options with { Shape = "llama4" },
            "type" => options with { Type = WeightFormat.Q8_0 },
            "layers" => options with { Layers = 0 },
            "output" => options with { Output = _folder.Path },
            "parent" => options with { Output = _folder.At("absent/m") },
            "tokenizer" => options with { TokenizerDirectory = _folder.Path },
            "damaged tokenizer" => WithTokenizer(options, "{"),
            "unigram tokenizer" => WithTokenizer(options, """{"model":{"type":"Unigram","vocab":{},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"}}"""),
            "tokenizer with gaps" => WithTokenizer(options, """{"model":{"type":"BPE","vocab":{"a":0,"b":2},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"}}"""),
            "threads" => options with { Threads = 0 },
            _ => throw new ArgumentOutOfRangeException(nameof(what)),
        };
        var error = Assert.Throws<ModelFileException>(() => ModelSynthesizer.Write(options));
        Assert.Contains(messagePart, error.Message, StringComparison.Ordinal);
        Assert.False(Path.Exists(_folder.At("m")));
    }

    [Fact]
    public void A_model_larger_than_the_disk_must_be_refused()
    {
        var error = Assert.Throws<ModelFileException>(() => ModelOutput.RequireRoom(_folder.At("m"), long.MaxValue));
        Assert.Contains($"takes {long.MaxValue} bytes, but {_folder.Path} has", error.Message, StringComparison.Ordinal);
    }

    [SharedFact]
    public void The_llama_31_tokenizer_must_be_read_whole()
    {
        Vocabulary vocabulary = TokenizerDirectory.Read(SharedModels.At("tokenizers", "llama3.1"));
        Assert.Equal((128256, 280147), (vocabulary.Tokens.Count, vocabulary.Merges.Count));
        Assert.Equal(128000, vocabulary.BosToken);
        Assert.Equal([128001, 128008, 128009], vocabulary.EosTokens);
        Assert.All(Vocabulary.SpecialTexts, special => Assert.Equal(special.Value, vocabulary.Tokens[128000 + special.Key]));
    }

    private static float[] Unpermuted(float[] adjacent, LlamaConfig config)
    {
        int d = config.HeadDim, columns = config.HiddenSize;
        var halves = new float[adjacent.Length];
        for (int row = 0; row < adjacent.Length / columns; row++)
        {
            // Row 2j + p of a head in adjacent order is row p d/2 + j in halves.
            int head = row / d, j = row % d / 2, p = row % 2;
            adjacent.AsSpan(row * columns, columns).CopyTo(halves.AsSpan(((head * d) + (p * d / 2) + j) * columns));
        }

        return halves;
    }

    private SynthesisOptions Options(string name, WeightFormat type, SynthesisFormat format) =>
        new() { Shape = "tiny", Output = _folder.At(name), Type = type, Format = format, Layers = 2 };

    private SynthesisOptions WithTokenizer(SynthesisOptions options, string json)
    {
        _folder.Write("tokenizer.json", json);
        return options with { TokenizerDirectory = _folder.Path };
    }

    private ModelFile Write(WeightFormat type, SynthesisFormat format, int layers = 2)
    {
        SynthesisOptions options = Options($"{type}-{format}-{layers}", type, format) with { Layers = layers };
        ModelSynthesizer.Write(options);
        return ModelFile.Open(options.Output);
    }

    private sealed class Reports(Action? then = null) : IProgress<WritingProgress>
    {
        public List<WritingProgress> Seen { get; } = [];

        public void Report(WritingProgress value)
        {
            Seen.Add(value);
            then?.Invoke();
        }
    }
}
