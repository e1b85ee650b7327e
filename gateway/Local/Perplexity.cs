using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Gateway.Local;

/// <summary>How well a model predicts a text.</summary>
/// <param name="MeanNegativeLogLikelihood">Mean over the predicted tokens, in nats.</param>
/// <param name="Predicted">How many tokens were predicted.</param>
internal sealed record PerplexityResult(double MeanNegativeLogLikelihood, int Predicted)
{
    /// <summary>exp of the mean negative log-likelihood.</summary>
    public double Perplexity => Math.Exp(MeanNegativeLogLikelihood);
}

/// <summary>
/// Perplexity over windows that do not overlap: the text is cut into windows of equal length, and within each every token but the
/// first is predicted from those before it.
/// </summary>
internal static class Perplexity
{
    private const int Rows = 128;

    /// <summary>Most rows of one step when so many windows are computed together.</summary>
    public static int RowsPerStep(int batch) => Math.Max(Rows, batch);

    /// <summary>Measures it.</summary>
    /// <param name="model">Loaded for as many sequences as windows are to be computed together.</param>
    /// <param name="tokens">The text.</param>
    /// <param name="window">Tokens of a window.</param>
    /// <param name="progress">Told the share that is done.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static PerplexityResult Measure(LocalModel model, int[] tokens, int window, Action<double>? progress, CancellationToken cancellation)
    {
        int batch = model.Pipeline.Options.MaxSequences;
        int[][] windows = [.. tokens.Chunk(window).Where(part => part.Length > 1)];
        if (windows.Length == 0)
            throw new ArgumentException($"the text has {tokens.Length} tokens; at least 2 are needed to predict one");
        var losses = new double[windows.Length]; // summed in the windows' order, whatever the batch
        for (int first = 0; first < windows.Length; first += batch)
        {
            Measure(model, windows.AsSpan(first, Math.Min(batch, windows.Length - first)), losses.AsSpan(first), cancellation);
            progress?.Invoke(Math.Min(1, (first + batch) / (double)windows.Length));
        }

        int predicted = windows.Sum(part => part.Length - 1);
        return new PerplexityResult(losses.Sum() / predicted, predicted);
    }

    private static void Measure(LocalModel model, ReadOnlySpan<int[]> windows, Span<double> losses, CancellationToken cancellation)
    {
        var step = new Step();
        var logits = new float[model.File.Config.VocabularySize];
        int chunk = Math.Max(1, Rows / windows.Length), longest = 0;
        foreach (int[] window in windows)
            longest = Math.Max(longest, window.Length);
        for (int position = 0; position < longest; position += chunk)
        {
            cancellation.ThrowIfCancellationRequested();
            step.Clear();
            for (int i = 0; i < windows.Length; i++)
            {
                if (position >= windows[i].Length)
                    continue;
                step.Add(
                    new SequenceRun { Slot = i, Sequence = i, FirstPosition = position, Begins = position == 0 },
                    windows[i].AsSpan(position..Math.Min(position + chunk, windows[i].Length)), position == 0 ? model.BlocksOf(i) : []);
            }

            model.Pipeline.Run(step, allLogits: true);
            int row = 0;
            foreach (SequenceRun run in step.Runs)
            {
                for (int i = 0; i < run.RowCount; i++, row++)
                {
                    int next = position + i + 1;
                    if (next >= windows[run.Slot].Length)
                        continue;
                    model.Pipeline.GetLogits(row, logits);
                    losses[run.Slot] += NegativeLogLikelihood(logits, windows[run.Slot][next]);
                }
            }
        }
    }

    private static double NegativeLogLikelihood(ReadOnlySpan<float> logits, int token)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (float logit in logits)
            max = Math.Max(max, logit);
        foreach (float logit in logits)
            sum += Math.Exp(logit - max);
        return max + Math.Log(sum) - logits[token];
    }
}
