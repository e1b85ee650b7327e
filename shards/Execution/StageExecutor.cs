using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Execution;

/// <summary>
/// Carries steps through a slice: keeps the block tables of the sequences, checks every step against them, runs the forward pass
/// and, on the slice with the head, samples. One thread at a time uses it; a step in steady state allocates nothing.
/// </summary>
public sealed class StageExecutor : IDisposable
{
    private readonly SequenceTable _sequences;
    private readonly RaggedBatch _batch;
    private readonly Sampler? _sampler;
    private readonly float[] _staging;
    private readonly Candidate[] _best;
    private readonly TokenLogProb[] _top = new TokenLogProb[SamplingParameters.MaxTopLogProbs];

    /// <summary>Takes over a loaded slice.</summary>
    /// <param name="slice">The slice; disposed with the executor.</param>
    /// <param name="slots">Sequences that may hold KV at one time.</param>
    public StageExecutor(ModelSlice slice, int slots)
    {
        Slice = slice;
        SliceOptions options = slice.Options;
        _sequences = new SequenceTable(slots, options.ContextLength);
        _batch = new RaggedBatch(options.MaxRows, options.MaxSequences, ModelSlice.MaxTableEntries(options));
        _staging = new float[Math.Max(options.MaxRows * slice.HiddenSize, slice.Range.HasHead ? slice.VocabularySize : 0)];
        _best = slice.HasRemoteLogits ? new Candidate[options.MaxLogitRows * Candidate.Most] : [];
        _sampler = slice.Range.HasHead ? new Sampler(slice.VocabularySize) : null;
    }

    /// <summary>The slice it drives.</summary>
    public ModelSlice Slice { get; }

    /// <summary>Rows whose logits the last step computed.</summary>
    public int LogitRowCount => _batch.LogitRowCount;

    /// <summary>Bytes of a step's residual stream on the wire.</summary>
    public int PayloadBytes(int rows, ActivationFormat format) => rows * Slice.HiddenSize * format.ElementBytes();

    /// <summary>Runs a step.</summary>
    /// <param name="step">The rows.</param>
    /// <param name="input">The residual stream of the rows from the slice before; ignored by the slice with the embedding.</param>
    /// <param name="format">The form of <paramref name="input"/>.</param>
    /// <param name="allLogits">Whether logits are computed for every row, not only where a token is sampled.</param>
    /// <exception cref="StepRefusedException">The step does not fit what the stage holds. Nothing was computed, and only <see cref="Reset"/> makes the stage usable again.</exception>
    public void Run(Step step, ReadOnlySpan<byte> input, ActivationFormat format, bool allLogits = false)
    {
        FillBatch(step, allLogits);
        if (!Slice.Range.HasEmbedding)
            SetInput(step, input, format);
        Slice.Forward(_batch);
    }

    /// <summary>Writes the residual stream of the last step's rows in its wire form; <see cref="PayloadBytes"/> says how long.</summary>
    public void GetOutput(Span<byte> output, ActivationFormat format)
    {
        if (format == ActivationFormat.F32)
        {
            Slice.GetHidden(MemoryMarshal.Cast<byte, float>(output));
            return;
        }

        Span<float> hidden = _staging.AsSpan(0, _batch.RowCount * Slice.HiddenSize);
        Slice.GetHidden(hidden);
        ActivationCodec.Encode(hidden, format, output);
    }

    /// <summary>Copies the logits of the i-th row that the last step computed logits for.</summary>
    public void GetLogits(int index, Span<float> logits) => Slice.GetLogits(index, logits);

    /// <summary>Samples the tokens that the last step asked for.</summary>
    public void Sample(Step step, SampledTokens result)
    {
        if (_sampler is null)
            throw new InvalidOperationException($"the slice of {Slice.Range} has no head to sample from");
        result.Reset(step.Epoch, step.Number);
        Span<float> logits = _staging.AsSpan(0, Slice.VocabularySize);
        int candidates = GetCandidates(step), logitRow = 0;
        foreach (ref readonly SequenceRun run in step.Runs)
        {
            if (!run.Samples)
                continue;
            SequenceState sequence = _sequences[run.Slot];
            ReadOnlySpan<Candidate> best = _best.AsSpan(logitRow * candidates, candidates);
            int topCount = 0;
            if (candidates == 0 || _sampler.CandidatesFor(sequence.Sampling) == 0 || !_sampler.TrySample(best, sequence.Sampling, run.SampleIndex, out TokenLogProb token))
            {
                Slice.GetLogits(logitRow, logits);
                token = _sampler.Sample(
                    logits, sequence.Sampling, sequence.Tokens, sequence.PromptLength, run.SampleIndex, _top, out topCount);
            }

            logitRow++;
            result.Add(run.Slot, run.Sequence, run.SampleIndex, token, _top.AsSpan(0, topCount));
        }
    }

    /// <summary>Forgets all sequences: a new epoch begins with empty caches.</summary>
    public void Reset() => _sequences.Clear();

    /// <inheritdoc/>
    public void Dispose() => Slice.Dispose();

    // Where logits are far away: as many of each row's largest as any of the rows needs; 0 if all rows need all.
    private int GetCandidates(Step step)
    {
        if (!Slice.HasRemoteLogits)
            return 0;
        int count = 0, rows = 0;
        foreach (ref readonly SequenceRun run in step.Runs)
        {
            if (!run.Samples)
                continue;
            count = Math.Max(count, _sampler!.CandidatesFor(_sequences[run.Slot].Sampling));
            rows++;
        }

        if (count > 0)
            Slice.GetTopCandidates(rows, count, _best);
        return count;
    }

    private void FillBatch(Step step, bool allLogits)
    {
        SliceOptions options = Slice.Options;
        if (step.RowCount > options.MaxRows || step.RunCount > options.MaxSequences)
            throw new StepRefusedException($"step {step.Number} has {step.RowCount} rows of {step.RunCount} sequences; the stage takes {options.MaxRows} and {options.MaxSequences}");

        _batch.Clear();
        foreach (ref readonly SequenceRun run in step.Runs)
        {
            SequenceState state = _sequences.Accept(step, run, Slice.Kv, Slice.VocabularySize, Slice.Range.HasHead);
            int blocks = KvPool.BlocksFor(state.Length);
            int firstRow = _batch.Add(run.FirstPosition, step.TokensOf(run), state.Blocks[..blocks]);
            if (!Slice.Range.HasHead)
                continue;
            for (int row = allLogits ? 0 : run.RowCount - 1; row < run.RowCount; row++)
            {
                if (allLogits || run.Samples)
                    _batch.WantLogits(firstRow + row);
            }
        }
    }

    private void SetInput(Step step, ReadOnlySpan<byte> input, ActivationFormat format)
    {
        int expected = PayloadBytes(step.RowCount, format);
        if (input.Length != expected)
            throw new StepRefusedException($"step {step.Number} brings {input.Length} bytes of activations for {step.RowCount} rows; {expected} were expected");
        if (format == ActivationFormat.F32)
        {
            Slice.SetHidden(MemoryMarshal.Cast<byte, float>(input));
            return;
        }

        Span<float> hidden = _staging.AsSpan(0, step.RowCount * Slice.HiddenSize);
        ActivationCodec.Decode(input, format, hidden);
        Slice.SetHidden(hidden);
    }
}
