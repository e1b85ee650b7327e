using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>Greedy texts of real models, as the program would run them: GPUs alone and beside the processor say what the processor says.</summary>
public sealed class GpuTextTests
{
    private const int Tokens = 40;

    private static readonly string[] SharedNames = ["stories260k", "tinystories-656k", "tinystories-656k-f32", "llama-2-tiny-random.gguf"];

    public static TheoryData<string, int> Cuts
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string gpu in DevicesUnderTest.Gpus)
            {
                data.Add(gpu, 1);
                data.Add(gpu, 2);
                data.Add($"{gpu}+cpu", 2);
                data.Add($"cpu+{gpu}", 2);
            }

            return data;
        }
    }

    public static TheoryData<string, int, string> SharedCuts
    {
        get
        {
            var data = new TheoryData<string, int, string>();
            foreach (string gpu in DevicesUnderTest.Gpus)
            {
                foreach (string model in SharedNames)
                {
                    data.Add(gpu, 1, model);
                    data.Add($"cpu+{gpu}", 2, model);
                }
            }

            return data;
        }
    }

    [GpuTheory]
    [MemberData(nameof(Cuts))]
    public void The_demo_models_texts_must_be_those_of_the_processor(string devices, int stages) => MustAgree(SharedModels.Demo, devices, stages);

    [GpuTheory(shared: true)]
    [MemberData(nameof(SharedCuts))]
    public void A_shared_models_texts_must_be_those_of_the_processor(string devices, int stages, string model) =>
        MustAgree(SharedModels.At("models", model), devices, stages);

    private static void MustAgree(string path, string devices, int stages)
    {
        using ModelFile file = ModelFile.Open(path);
        int[][] expected = Texts(file, "cpu", 1), actual = Texts(file, devices, stages);
        Assert.Equal(expected, actual);
    }

    // A short prompt, one of several attention spans, and one token; beginning with the first token, as models do.
    private static int[][] Texts(ModelFile file, string names, int stages)
    {
        int context = Math.Min(file.Config.ContextLength, 320);
        KvFormat kv = file.Tensor(TensorRole.Query).Format == WeightFormat.F32 ? KvFormat.F32 : KvFormat.F16;
        using var devices = new DevicesUnderTest(names);
        using LocalPipeline pipeline = LocalPipeline.Load(
            file, stage => devices.Of(stage, stages), stages, new SliceOptions(64, 1, 1, context, KvPool.BlocksFor(context), kv));
        var random = new Random(5);
        return
        [
            .. ((int[])[1, 11, context - Tokens - 1]).Select(length => GreedyText.Continue(
                pipeline, [1, .. Enumerable.Range(1, length - 1).Select(_ => random.Next(3, file.Config.VocabularySize))], Tokens, out _)),
        ];
    }
}
