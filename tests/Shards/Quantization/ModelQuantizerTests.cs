using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;
using Llama3Cluster.Shards.Files.Writing;
using Llama3Cluster.Shards.Quantization;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Quantization;

public sealed class ModelQuantizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<WeightFormat> Formats => [.. Enum.GetValues<WeightFormat>()];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_folder_must_become_the_gguf_file_of_the_same_model()
    {
        using ModelFile folder = Synthesize("folder", WeightFormat.F32, SynthesisFormat.HuggingFace);
        using ModelFile direct = Synthesize("direct.gguf", WeightFormat.F32, SynthesisFormat.Gguf);
        using ModelFile written = Quantize(folder, WeightFormat.F32, "written.gguf");

        // The same weights in the same order, the same rotations: the same function.
        Assert.Equal(RopePairing.Adjacent, written.Pairing);
        foreach ((TensorRole role, int layer) in TensorShapes.Required(direct.Config))
            Assert.Equal(ModelFileAssert.Values(direct.Tensor(role, layer)), ModelFileAssert.Values(written.Tensor(role, layer)));
        Assert.Equal(direct.RopeFrequencies, written.RopeFrequencies);
        Assert.Equal(Logits(direct), Logits(written));
        Assert.Equal(folder.Name, written.Name);
        Assert.Equal(
            folder.Config with { RopeScaling = null, EosTokens = [], BosToken = null },
            written.Config with { EosTokens = [] });
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Every_format_must_compute_what_its_decoded_weights_do(WeightFormat type)
    {
        using ModelFile exact = Synthesize("exact.gguf", WeightFormat.F32, SynthesisFormat.Gguf);
        using ModelFile quantized = Quantize(exact, type, "quantized.gguf");
        using ModelFile decoded = Quantize(quantized, WeightFormat.F32, "decoded.gguf");

        Assert.Equal(WeightFormat.F32, decoded.Tensor(TensorRole.Up).Format);
        Assert.Equal(type, quantized.Tensor(TensorRole.Up, 1).Format);
        Assert.Equal(WeightFormat.F32, quantized.Tensor(TensorRole.AttentionNorm, 1).Format);
        float[] wanted = Logits(decoded);
        Assert.Equal(wanted, Logits(quantized));
        if (type == WeightFormat.F32)
            Assert.Equal(wanted, Logits(exact));
        else
            Assert.NotEqual(wanted, Logits(exact));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Weights_that_have_the_format_must_be_copied(WeightFormat type)
    {
        using ModelFile first = Synthesize("first.gguf", type, SynthesisFormat.Gguf);
        using ModelFile second = Quantize(first, type, "second.gguf");

        Assert.Equal(first.Fingerprint, second.Fingerprint);
        foreach ((TensorRole role, int layer) in TensorShapes.Required(first.Config))
        {
            TensorData a = first.Tensor(role, layer), b = second.Tensor(role, layer);
            Assert.Equal(a.Format, b.Format);
            Assert.True(Enumerable.Range(0, a.Rows).All(row => a.Row(row).SequenceEqual(b.Row(row))), $"{role} of layer {layer} differs");
        }
    }

    [Fact]
    public void A_gguf_files_metadata_must_go_along_but_for_its_type()
    {
        using ModelFile source = Synthesize("source.gguf", WeightFormat.BF16, SynthesisFormat.Gguf);
        using ModelFile written = Quantize(source, WeightFormat.Q8_0, "written.gguf");

        IReadOnlyDictionary<string, object> wanted = ((GgufFile)source).Metadata.Values, found = ((GgufFile)written).Metadata.Values;
        Assert.Equal(wanted.Keys.Order(), found.Keys.Order());
        Assert.All(wanted.Where(pair => pair.Key != "general.file_type"), pair => Assert.Equal(pair.Value, found[pair.Key]));
        Assert.Equal(7u, found["general.file_type"]);
    }

    [Fact]
    public void Every_type_of_metadata_must_be_read_back_as_it_was()
    {
        using ModelFile source = Synthesize("source.gguf", WeightFormat.F32, SynthesisFormat.Gguf);
        var values = new Dictionary<string, object>
        {
            ["x.u8"] = (byte)1,
            ["x.i8"] = (sbyte)-1,
            ["x.u16"] = (ushort)2,
            ["x.i16"] = (short)-2,
            ["x.u32"] = 3u,
            ["x.i32"] = -3,
            ["x.u64"] = 4ul,
            ["x.i64"] = -4L,
            ["x.f32"] = 0.5f,
            ["x.f64"] = 0.25,
            ["x.bool"] = true,
            ["x.text"] = "é🚀",
            ["x.floats"] = new[] { 1f, -2f },
            ["x.bools"] = new[] { true, false },
            ["x.nested"] = new object[] { new[] { 1, 2 }, new[] { "a" } },
        };
        ModelQuantizer.Write(source, new QuantizationOptions { Output = _folder.At("m.gguf"), Type = WeightFormat.F32, Metadata = values });
        using ModelFile written = ModelFile.Open(_folder.At("m.gguf"));
        Assert.All(values, pair => Assert.Equal(pair.Value, ((GgufFile)written).Metadata.Values[pair.Key]));
    }

    [Theory]
    [InlineData(WeightFormat.Q4_K, WeightFormat.Q8_0)]
    [InlineData(WeightFormat.Q4_0, WeightFormat.Q4_0)]
    public void Rows_that_are_not_whole_blocks_must_get_a_format_that_fits(WeightFormat wanted, WeightFormat written)
    {
        using ModelFile demo = ModelFile.Open(SharedModels.Demo); // rows of 128 and 352
        QuantizationResult result = ModelQuantizer.Write(demo, new QuantizationOptions { Output = _folder.At("m.gguf"), Type = wanted });
        using ModelFile file = ModelFile.Open(_folder.At("m.gguf"));

        Assert.Equal(written, file.Tensor(TensorRole.Down, 3).Format);
        Assert.Equal(WeightFormat.Q8_0, file.Tensor(TensorRole.OutputHead).Format); // in place of Q6_K
        Assert.Contains(("token_embd.weight", WeightFormat.Q6_K, WeightFormat.Q8_0), result.Substitutes);
        Assert.Equal(written != wanted, result.Substitutes.Contains(("blk.3.ffn_down.weight", wanted, written)));
        Assert.Equal((7 * 8) + 1, result.Matrices.Values.Sum());
    }

    [Fact]
    public void Any_number_of_threads_must_write_the_same_file()
    {
        using ModelFile source = Synthesize("source", WeightFormat.BF16, SynthesisFormat.HuggingFace);
        var options = new QuantizationOptions { Output = _folder.At("a.gguf"), Type = WeightFormat.Q4_K, Threads = 1 };
        ModelQuantizer.Write(source, options);
        ModelQuantizer.Write(source, options with { Output = _folder.At("b.gguf"), Threads = 3 });
        Assert.Equal(File.ReadAllBytes(_folder.At("a.gguf")), File.ReadAllBytes(_folder.At("b.gguf")));
    }

    [Fact]
    public void A_cancelled_file_must_leave_nothing_behind()
    {
        using ModelFile source = ModelFile.Open(SharedModels.Demo);
        using var cancellation = new CancellationTokenSource();
        var progress = new Cancelling(cancellation);
        Assert.ThrowsAny<OperationCanceledException>(() => ModelQuantizer.Write(
            source, new QuantizationOptions { Output = _folder.At("m.gguf"), Type = WeightFormat.F32, Threads = 1 }, progress, cancellation.Token));
        Assert.True(progress.Reports > 0, "nothing was written before");
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void An_output_that_exists_must_be_left_alone()
    {
        using ModelFile source = ModelFile.Open(SharedModels.Demo);
        string output = _folder.Write("m.gguf", "precious");
        var error = Assert.Throws<ModelFileException>(() => ModelQuantizer.Write(source, new QuantizationOptions { Output = output, Type = WeightFormat.F32 }));
        Assert.Contains("exists already", error.Message, StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(output));
    }

    [Theory]
    [InlineData(1e6f, WeightFormat.F16)]
    [InlineData(float.NaN, WeightFormat.Q8_0)]
    public void A_weight_that_the_format_cannot_hold_must_be_named(float weight, WeightFormat type)
    {
        using (ModelFile folder = Synthesize("source", WeightFormat.F32, SynthesisFormat.HuggingFace))
            Quantize(folder, WeightFormat.F32, "source.gguf").Dispose();
        byte[] bytes = File.ReadAllBytes(_folder.At("source.gguf"));
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 1024), weight); // in the head: RoPE's 16 divisors follow it
        using ModelFile source = ModelFile.Open(_folder.Write("broken.gguf", bytes));

        var error = Assert.Throws<ModelFileException>(() => Quantize(source, type, "m.gguf").Dispose());

        Assert.Contains($"the model's output.weight has the element {weight}, which {type} cannot hold", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.At("m.gguf")));
    }

    private static float[] Logits(ModelFile file)
    {
        using var device = new ReferenceDevice();
        using LocalPipeline pipeline = LocalPipeline.Load(file, _ => device, 1, new SliceOptions(32, 1, 32, 64, KvPool.BlocksFor(64), KvFormat.F32));
        int[] prompt = [.. Enumerable.Range(0, 12).Select(i => (i * 37) % 512)];
        var step = new Step();
        step.Add(
            new SequenceRun { Begins = true, Sampling = SamplingParameters.Greedy, PromptLength = prompt.Length }, prompt,
            [.. Enumerable.Range(0, pipeline.Options.KvBlocks)]);
        pipeline.Run(step, allLogits: true);
        var logits = new float[prompt.Length * file.Config.VocabularySize];
        for (int row = 0; row < prompt.Length; row++)
            pipeline.GetLogits(row, logits.AsSpan(row * file.Config.VocabularySize, file.Config.VocabularySize));
        return logits;
    }

    private ModelFile Synthesize(string name, WeightFormat type, SynthesisFormat format)
    {
        ModelSynthesizer.Write(new SynthesisOptions { Shape = "tiny", Output = _folder.At(name), Type = type, Format = format, Layers = 2 });
        return ModelFile.Open(_folder.At(name));
    }

    private ModelFile Quantize(ModelFile source, WeightFormat type, string name)
    {
        ModelQuantizer.Write(source, new QuantizationOptions { Output = _folder.At(name), Type = type });
        return ModelFile.Open(_folder.At(name));
    }

    private sealed class Cancelling(CancellationTokenSource cancellation) : IProgress<WritingProgress>
    {
        public int Reports { get; private set; }

        public void Report(WritingProgress value)
        {
            Reports++;
            cancellation.Cancel();
        }
    }
}
