using System.Diagnostics;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>Measures prefill and decode of a local pipeline. The work is the same every time; only the time differs.</summary>
/// <param name="model">The model.</param>
/// <param name="repetitions">Measured repetitions of each test.</param>
/// <param name="progress">Told which test and which repetition runs.</param>
internal sealed class BenchRun(LocalModel model, int repetitions, Action<string> progress)
{
    private readonly Step _step = new();
    private readonly SampledTokens _sampled = new();
    private long _sequence;

    /// <summary>Seconds of a prompt of one token: right after loading, what a first token costs.</summary>
    public double FirstToken(CancellationToken cancellation)
    {
        progress("first token");
        long start = Stopwatch.GetTimestamp();
        Begin();
        Prompt(0, 0, 1, samples: true, cancellation);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Prefill: one prompt, in chunks of the largest step.</summary>
    /// <param name="tokens">Length of the prompt.</param>
    /// <param name="depth">Tokens of context before it, which are not measured.</param>
    /// <param name="work">Counts what it reads and multiplies.</param>
    /// <param name="cancellation">Ends it early.</param>
    public BenchRow Prefill(int tokens, int depth, ModelWork work, CancellationToken cancellation)
    {
        string test = $"pp{tokens}{Depth(depth)}";
        double[] rates = Repeat(
            test, tokens, () => Context(1, depth, cancellation), () => Prompt(0, depth, tokens, samples: true, cancellation), cancellation);
        return new BenchRow(test, rates, work.Prefill(tokens));
    }

    /// <summary>Decode: so many sequences together, a token each a step.</summary>
    /// <param name="tokens">Tokens of each sequence.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="depth">Tokens of context that each has before, which are not measured.</param>
    /// <param name="work">Counts what it reads and multiplies.</param>
    /// <param name="cancellation">Ends it early.</param>
    public BenchRow Decode(int tokens, int batch, int depth, ModelWork work, CancellationToken cancellation)
    {
        string test = $"tg{tokens}{(batch == 1 ? "" : $" x {batch}")}{Depth(depth)}";
        double[] rates = Repeat(test, (long)tokens * batch, () => Context(batch, depth, cancellation), () =>
        {
            for (int position = depth; position < depth + tokens; position++)
            {
                cancellation.ThrowIfCancellationRequested();
                _step.Clear();
                for (int slot = 0; slot < batch; slot++)
                    Add(slot, position, 1, samples: true);
                model.Pipeline.Run(_step);
                model.Pipeline.Sample(_step, _sampled);
            }
        }, cancellation);
        return new BenchRow(test, rates, work.Decode(batch));
    }

    private static string Depth(int depth) => depth == 0 ? "" : $" @ d{depth}";

    private void Begin() => _sequence++;

    private void Context(int batch, int depth, CancellationToken cancellation)
    {
        Begin();
        for (int slot = 0; slot < batch && depth > 0; slot++)
            Prompt(slot, 0, depth, samples: false, cancellation);
    }

    private void Prompt(int slot, int first, int tokens, bool samples, CancellationToken cancellation)
    {
        int end = first + tokens;
        for (int position = first; position < end; position += model.Pipeline.Options.MaxRows)
        {
            cancellation.ThrowIfCancellationRequested();
            _step.Clear();
            int rows = Math.Min(model.Pipeline.Options.MaxRows, end - position);
            Add(slot, position, rows, samples && position + rows == end);
            model.Pipeline.Run(_step);
        }

        if (samples)
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

    // The first time touches every page of the weights and compiles every kernel; it does not count.
    private double[] Repeat(string test, long tokens, Action prepare, Action work, CancellationToken cancellation)
    {
        var rates = new double[repetitions];
        for (int i = -1; i < repetitions; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress(i < 0 ? $"{test}: warming up" : $"{test}: repetition {i + 1} of {repetitions}");
            prepare();
            long start = Stopwatch.GetTimestamp();
            work();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (i >= 0)
                rates[i] = tokens / seconds;
        }

        return rates;
    }
}
