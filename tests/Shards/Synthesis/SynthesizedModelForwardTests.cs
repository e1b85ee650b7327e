using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Synthesis;

/// <summary>The two forms of one model must be one function: row orders, RoPE scaling and names agree only if the logits do.</summary>
public sealed class SynthesizedModelForwardTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Both_forms_must_compute_the_same_logits()
    {
        float[] gguf = Logits(SynthesisFormat.Gguf), folder = Logits(SynthesisFormat.HuggingFace);
        double size = Math.Sqrt(gguf.Average(logit => (double)logit * logit));
        Assert.InRange(size, 0.3, 3);
        Assert.All(gguf.Zip(folder), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 1e-3 * size));
    }

    private float[] Logits(SynthesisFormat format)
    {
        var synthesis = new SynthesisOptions { Shape = "tiny", Output = _folder.At($"{format}"), Format = format, Type = WeightFormat.F32, Layers = 2 };
        ModelSynthesizer.Write(synthesis);
        using ModelFile file = ModelFile.Open(synthesis.Output);
        using var device = new ReferenceDevice();
        using LocalPipeline pipeline = LocalPipeline.Load(file, _ => device, 1, new SliceOptions(32, 1, 32, 64, KvPool.BlocksFor(64), KvFormat.F32));
        int[] prompt = [.. Enumerable.Range(0, 24).Select(i => (i * 37) % 512)];
        var step = new Step();
        step.Add(
            new SequenceRun { FirstPosition = 0, Begins = true, Samples = true, Sampling = SamplingParameters.Greedy, PromptLength = prompt.Length, SampleIndex = 0 },
            prompt,
            [.. Enumerable.Range(0, pipeline.Options.KvBlocks)]);
        pipeline.Run(step);
        var logits = new float[file.Config.VocabularySize];
        pipeline.GetLogits(0, logits);
        return logits;
    }
}
