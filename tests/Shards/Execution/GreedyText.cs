using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>Continues a prompt with the likeliest tokens.</summary>
internal static class GreedyText
{
    /// <summary>The next tokens; the prompt comes in pieces of five rows.</summary>
    /// <param name="pipeline">One whose cache is of one sequence.</param>
    /// <param name="prompt">Tokens.</param>
    /// <param name="count">How many to append.</param>
    /// <param name="logits">The logits after the prompt.</param>
    public static int[] Continue(LocalPipeline pipeline, int[] prompt, int count, out float[] logits)
    {
        var step = new Step();
        var sampled = new SampledTokens();
        int[] blocks = [.. Enumerable.Range(0, pipeline.Options.KvBlocks)];
        var answer = new List<int>();
        logits = new float[pipeline.Slices.Last().VocabularySize];
        for (int position = 0; answer.Count < count;)
        {
            ReadOnlySpan<int> rows = answer.Count == 0 ? prompt.AsSpan(position..Math.Min(prompt.Length, position + 5)) : [answer[^1]];
            step.Clear();
            bool samples = position + rows.Length >= prompt.Length;
            step.Add(
                new SequenceRun { FirstPosition = position, Begins = position == 0, Samples = samples, Sampling = position == 0 ? SamplingParameters.Greedy : null, PromptLength = prompt.Length, SampleIndex = answer.Count },
                rows, position == 0 ? blocks : []);
            pipeline.Run(step);
            position += rows.Length;
            if (!samples)
                continue;
            if (answer.Count == 0)
                pipeline.GetLogits(0, logits);
            pipeline.Sample(step, sampled);
            answer.Add(sampled.Rows[0].Token.Token);
        }

        return [.. answer];
    }
}
