using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Protocol;

/// <summary>Seeded frames with everything that a step can carry.</summary>
internal static class RandomFrames
{
    public static void FillStep(StepFrame frame, Random random, int maxRuns = 8, int maxRows = 16, int width = 32)
    {
        Step step = frame.Step;
        step.Clear();
        step.Epoch = random.NextInt64(0, long.MaxValue);
        step.Number = random.NextInt64(0, long.MaxValue);
        frame.Format = (ActivationFormat)random.Next(2);
        int runs = random.Next(maxRuns + 1);
        for (int i = 0; i < runs; i++)
        {
            bool begins = random.Next(2) == 0;
            step.Add(
                new SequenceRun
                {
                    Slot = random.Next(FrameLimits.MaxSlots),
                    Sequence = random.NextInt64(0, long.MaxValue),
                    FirstPosition = random.Next(1 << 20),
                    SampleIndex = random.Next(),
                    Begins = begins,
                    Samples = random.Next(2) == 0,
                    PromptLength = begins ? random.Next() : 0,
                    Sampling = begins && random.Next(4) > 0 ? Sampling(random) : null,
                },
                Ints(random, random.Next(1, maxRows + 1)),
                Ints(random, random.Next(4)));
        }

        int payload = random.Next(2) == 0 ? 0 : step.RowCount * width * frame.Format.ElementBytes();
        random.NextBytes(frame.PreparePayload(payload));
    }

    public static void FillSampled(SampledFrame frame, Random random, int maxRows = 16)
    {
        SampledTokens tokens = frame.Tokens;
        tokens.Reset(random.NextInt64(0, long.MaxValue), random.NextInt64(0, long.MaxValue));
        int rows = random.Next(maxRows + 1);
        for (int i = 0; i < rows; i++)
        {
            var top = new TokenLogProb[random.Next(SamplingParameters.MaxTopLogProbs + 1)];
            for (int t = 0; t < top.Length; t++)
                top[t] = new TokenLogProb(random.Next(), -random.NextSingle());
            tokens.Add(
                random.Next(FrameLimits.MaxSlots), random.NextInt64(0, long.MaxValue), random.Next(),
                new TokenLogProb(random.Next(), -100 * random.NextSingle()), top);
        }
    }

    private static SamplingParameters Sampling(Random random)
    {
        var bias = new Dictionary<int, float>();
        for (int i = random.Next(4); i > 0; i--)
            bias[random.Next()] = 200 * random.NextSingle() - 100;
        return new SamplingParameters
        {
            Temperature = 100 * random.NextSingle(),
            TopK = random.Next(),
            TopP = random.NextSingle(),
            MinP = random.NextSingle(),
            RepetitionPenalty = 10 * random.NextSingle(),
            FrequencyPenalty = 4 * random.NextSingle() - 2,
            PresencePenalty = 4 * random.NextSingle() - 2,
            LogitBias = bias,
            Seed = (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            TopLogProbs = random.Next(2) == 0 ? null : random.Next(SamplingParameters.MaxTopLogProbs + 1),
        };
    }

    private static int[] Ints(Random random, int count)
    {
        var values = new int[count];
        foreach (ref int value in values.AsSpan())
            value = random.Next() >> random.Next(31); // short and long numbers alike
        return values;
    }
}
