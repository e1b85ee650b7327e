using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Local;

/// <summary>One sequence on a local pipeline: prefills its prompt in chunks, then yields token after token.</summary>
internal sealed class LocalGeneration(LocalModel model, int[] prompt, SamplingParameters sampling)
{
    private readonly Step _step = new();
    private readonly SampledTokens _sampled = new();
    private readonly int[] _last = new int[1];
    private int _position;
    private int _generated;

    /// <summary>Computes the next token.</summary>
    public int Next()
    {
        while (_position < prompt.Length)
            Run(prompt.AsSpan(_position..Math.Min(_position + model.Pipeline.Options.MaxRows, prompt.Length)));
        if (_generated > 0)
            Run(_last);
        _last[0] = _sampled.Rows[0].Token.Token;
        _generated++;
        return _last[0];
    }

    private void Run(ReadOnlySpan<int> rows)
    {
        bool begins = _position == 0, samples = _position + rows.Length >= prompt.Length;
        _step.Clear();
        _step.Add(
            new SequenceRun
            {
                FirstPosition = _position,
                Begins = begins,
                Samples = samples,
                SampleIndex = _generated,
                PromptLength = prompt.Length,
                Sampling = begins ? sampling : null,
            },
            rows, begins ? model.BlocksOf(0) : []);
        model.Pipeline.Run(_step);
        _position += rows.Length;
        if (samples)
            model.Pipeline.Sample(_step, _sampled);
    }
}
