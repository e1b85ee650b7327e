using System.Diagnostics;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Local;

/// <summary>One row of <c>bench</c>: a kind of work and the tokens a second of each repetition.</summary>
/// <param name="Test"><c>pp512</c>, <c>tg128</c>, <c>tg128 x 4</c>…</param>
/// <param name="Rates">Tokens a second, one a repetition.</param>
internal sealed record BenchRow(string Test, IReadOnlyList<double> Rates)
{
    /// <summary>The middle rate.</summary>
    public double Median
    {
        get
        {
            double[] sorted = [.. Rates.Order()];
            int middle = sorted.Length / 2;
            return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        }
    }
}

/// <summary>Measures prefill and decode of a local pipeline. The work is the same every time; only the time differs.</summary>
internal sealed class BenchRun(LocalModel model)
{
    private readonly Step _step = new();
    private readonly SampledTokens _sampled = new();
    private long _sequence;

    /// <summary>Prefill: one prompt, in chunks of the largest step.</summary>
    public BenchRow Prefill(int tokens, int repetitions, CancellationToken cancellation) => new(
        $"pp{tokens}", Repeat(repetitions, tokens, () => RunPrefill(tokens, cancellation)));

    /// <summary>Decode: so many sequences together, a token each a step, from a prompt of one token.</summary>
    public BenchRow Decode(int tokens, int batch, int repetitions, CancellationToken cancellation) => new(
        batch == 1 ? $"tg{tokens}" : $"tg{tokens} x {batch}", Repeat(repetitions, (long)tokens * batch, () =>
        {
            _sequence++;
            for (int position = 0; position < tokens; position++)
            {
                cancellation.ThrowIfCancellationRequested();
                _step.Clear();
                for (int slot = 0; slot < batch; slot++)
                    Add(slot, position, 1, samples: true);
                model.Pipeline.Run(_step);
                model.Pipeline.Sample(_step, _sampled);
            }
        }));

    private void RunPrefill(int tokens, CancellationToken cancellation)
    {
        _sequence++;
        for (int position = 0; position < tokens; position += model.Pipeline.Options.MaxRows)
        {
            cancellation.ThrowIfCancellationRequested();
            _step.Clear();
            int rows = Math.Min(model.Pipeline.Options.MaxRows, tokens - position);
            Add(0, position, rows, samples: position + rows == tokens);
            model.Pipeline.Run(_step);
        }

        model.Pipeline.Sample(_step, _sampled);
    }

    private void Add(int slot, int position, int rows, bool samples)
    {
        Span<int> tokens = stackalloc int[rows];
        for (int i = 0; i < rows; i++)
            tokens[i] = (int)(((slot * 7919L) + ((position + i) * 104_729L)) % model.File.Config.VocabularySize);
        _step.Add(
            new SequenceRun
            {
                Slot = slot,
                Sequence = _sequence,
                FirstPosition = position,
                Begins = position == 0,
                Samples = samples,
                Sampling = position == 0 ? SamplingParameters.Greedy : null,
            },
            tokens, position == 0 ? model.BlocksOf(slot) : []);
    }

    private static double[] Repeat(int repetitions, long tokens, Action work)
    {
        work(); // touches every page of the weights once
        var rates = new double[repetitions];
        for (int i = 0; i < repetitions; i++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            rates[i] = tokens / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        return rates;
    }
}
