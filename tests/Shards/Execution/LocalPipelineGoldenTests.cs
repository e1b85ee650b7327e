using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>Real models against the logits and greedy texts of an independent implementation, on every device, cut in every way.</summary>
public sealed class LocalPipelineGoldenTests
{
    public static TheoryData<string, int> DemoCuts
    {
        get
        {
            var data = new TheoryData<string, int>
            {
                { "reference", 1 }, { "reference", 2 }, { "cpu", 1 }, { "cpu", 2 }, { "cpu", 3 }, { "cpu", 8 }, { "cpu", 10 },
            };
            foreach (string gpu in DevicesUnderTest.Gpus)
            {
                data.Add(gpu, 1);
                data.Add(gpu, 3);
                data.Add($"{gpu}+cpu", 2);
                data.Add($"cpu+{gpu}", 2);
            }

            return data;
        }
    }

    public static TheoryData<string, string, int> SharedCuts
    {
        get
        {
            var data = new TheoryData<string, string, int>();
            foreach (string device in (string[])["reference", "cpu", .. DevicesUnderTest.Gpus])
            {
                foreach (int stages in (int[])[1, 2, 5])
                    data.Add("stories260k", device, stages);
                foreach (int stages in (int[])[1, 2, 4])
                    data.Add("tinystories-656k", device, stages);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(DemoCuts))]
    public void The_demo_model_must_give_the_golden_logits_and_texts(string device, int stages) =>
        MustMatch(SharedModels.Demo, SharedModels.Demo, device, stages, 2e-2);

    [SharedTheory]
    [MemberData(nameof(SharedCuts))]
    public void A_trained_model_must_give_the_golden_logits_and_texts(string model, string device, int stages) =>
        MustMatch(SharedModels.At("models", model), SharedModels.At("models", model), device, stages, model == "stories260k" ? 1e-3 : 2e-2);

    // The same weights in F32, with only the head stored: the golden numbers of the BF16 file are its own.
    [SharedTheory]
    [InlineData("reference", 1)]
    [InlineData("cpu", 2)]
    public void Weights_tied_under_the_heads_name_must_give_the_same(string device, int stages) =>
        MustMatch(SharedModels.At("models", "tinystories-656k-f32"), SharedModels.At("models", "tinystories-656k"), device, stages, 1e-3);

    private static void MustMatch(string folder, string golden, string deviceName, int stages, double tolerance)
    {
        using ModelFile file = ModelFile.Open(folder);
        using var devices = new DevicesUnderTest(deviceName);
        var options = new SliceOptions(64, 1, 64, file.Config.ContextLength, KvPool.BlocksFor(file.Config.ContextLength), KvFormat.F32);
        using LocalPipeline pipeline = LocalPipeline.Load(file, stage => devices.Of(stage, stages), stages, options);
        foreach (GoldenCase wanted in GoldenCase.Load(golden))
        {
            int[] greedy = GreedyText.Continue(pipeline, wanted.Ids, wanted.Greedy.Length, out float[] logits);
            (int Token, float Logit)[] top = [.. logits.Select((logit, token) => (token, logit)).OrderByDescending(pair => pair.logit).Take(10)];
            Assert.Equal(wanted.Top.Select(pair => pair.Token), top.Select(pair => pair.Token));
            Assert.All(wanted.Top.Zip(top), pair => Assert.InRange(Math.Abs(pair.First.Logit - pair.Second.Logit), 0, tolerance));
            Assert.Equal(wanted.Greedy, greedy);
        }
    }
}
