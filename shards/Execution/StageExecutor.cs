using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution.Replay;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Execution;

/// <summary>
/// Carries steps through a slice: keeps the block tables of the sequences, checks every step against them, runs the forward pass
/// and, on the slice with the head, samples. One thread at a time uses it; a step in steady state allocates nothing.
/// </summary>
/// <remarks>
/// With a replay memory, rows that are computed again after a loss (the same tokens in the same blocks) are not: their keys and values
/// are there, and what the next stage needs of them is in the log.
/// </remarks>
public sealed class StageExecutor : IDisposable
{
    private readonly SequenceTable _sequences;
    private readonly RaggedBatch _batch;
    private readonly ReplayMemory? _replay;
    private readonly RowSpan[] _spans;
    private readonly Sampler? _sampler;
    private readonly float[] _staging;
    private readonly Candidate[] _best;
    private readonly TokenLogProb[] _top = new TokenLogProb[SamplingParameters.MaxTopLogProbs];

    /// <summary>Takes over a loaded slice.</summary>
    /// <param name="slice">The slice; disposed with the executor.</param>
    /// <param name="slots">Sequences that may hold KV at one time.</param>
    /// <param name="replay">What it keeps for a replay; null to compute every row of every step.</param>
    public StageExecutor(ModelSlice slice, int slots, ReplayOptions? replay = null)
    {
        Slice = slice;
        SliceOptions options = slice.Options;
        _sequences = new SequenceTable(slots, options.ContextLength);
        _batch = new RaggedBatch(options.MaxRows, options.MaxSequences, ModelSlice.MaxTableEntries(options));
        _spans = new RowSpan[options.MaxSequences];
        _replay = replay is null ? null : new ReplayMemory(slice, replay);
        _staging = new float[Math.Max(options.MaxRows * slice.HiddenSize, slice.Range.HasHead ? slice.VocabularySize : 0)];
        _best = slice.HasRemoteLogits ? new Candidate[options.MaxLogitRows * Candidate.Most] : [];
        _sampler = slice.Range.HasHead ? new Sampler(slice.VocabularySize) : null;
    }

    /// <summary>The slice it drives.</summary>
    public ModelSlice Slice { get; }

    /// <summary>Rows whose logits the last step computed.</summary>
    public int LogitRowCount => _batch.LogitRowCount;

    /// <summary>Rows that were computed so far.</summary>
    public long RowsComputed { get; private set; }

    /// <summary>Rows that were not, because the stage held them from an earlier time.</summary>
    public long RowsReused { get; private set; }

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
        try
        {
            FillBatch(step, format, allLogits);
            if (!Slice.Range.HasEmbedding)
                SetInput(step, input, format);
            if (_batch.RowCount > 0)
                Slice.Forward(_batch);
        }
        catch
        {
            Forget(); // the records speak of rows that may not be there
            throw;
        }

        RowsComputed += _batch.RowCount;
        RowsReused += step.RowCount - _batch.RowCount;
    }

    /// <summary>Writes the residual stream of the last step's rows in its wire form; <see cref="PayloadBytes"/> says how long.</summary>
    /// <param name="step">The step that was run last.</param>
    /// <param name="output">Where to.</param>
    /// <param name="format">The form, the same as the input's.</param>
    public void GetOutput(Step step, Span<byte> output, ActivationFormat format)
    {
        if (_batch.RowCount == step.RowCount)
            GetComputed(output, format);
        else
            Merge(step, output, format);
        if (_replay is null)
            return;
        for (int i = 0; i < step.RunCount; i++)
        {
            ref readonly SequenceRun run = ref step.Runs[i];
            _replay.Write(_sequences[run.Slot].Blocks, run.FirstPosition, _spans[i], OutputOf(run, output, format), format);
        }
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

    /// <summary>Forgets all sequences: a new epoch begins. What the KV blocks hold stays known.</summary>
    public void Reset() => _sequences.Clear();

    /// <summary>A step failed on the device: what the KV blocks hold is not known any more, and everything is computed again.</summary>
    public void Forget() => _replay?.Clear();

    /// <inheritdoc/>
    public void Dispose()
    {
        Slice.Dispose();
        _replay?.Dispose();
    }

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

    private void FillBatch(Step step, ActivationFormat format, bool allLogits)
    {
        SliceOptions options = Slice.Options;
        if (step.RowCount > options.MaxRows || step.RunCount > options.MaxSequences)
            throw new StepRefusedException($"step {step.Number} has {step.RowCount} rows of {step.RunCount} sequences; the stage takes {options.MaxRows} and {options.MaxSequences}");

        _batch.Clear();
        for (int i = 0; i < step.RunCount; i++)
        {
            ref readonly SequenceRun run = ref step.Runs[i];
            SequenceState state = _sequences.Accept(step, run, Slice.Kv, Slice.VocabularySize, Slice.Range.HasHead);
            ReadOnlySpan<int> tokens = step.TokensOf(run), blocks = state.Blocks[..KvPool.BlocksFor(state.Length)];
            RowSpan span = _replay?.Take(blocks, run.FirstPosition, tokens, run.Samples, format) ?? RowSpan.All(run.RowCount);
            _spans[i] = span = allLogits ? RowSpan.All(run.RowCount) : span;
            if (span.Count == 0)
                continue;
            int firstRow = _batch.Add(run.FirstPosition + span.From, tokens[span.From..span.To], blocks);
            if (!Slice.Range.HasHead)
                continue;
            for (int row = allLogits ? 0 : span.Count - 1; row < span.Count; row++)
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
        if (_batch.RowCount == 0)
            return;
        if (format == ActivationFormat.F32 && _batch.RowCount == step.RowCount)
        {
            Slice.SetHidden(MemoryMarshal.Cast<byte, float>(input));
            return;
        }

        Span<float> hidden = _staging.AsSpan(0, _batch.RowCount * Slice.HiddenSize), rest = hidden;
        int rowBytes = PayloadBytes(1, format);
        for (int i = 0; i < step.RunCount; i++)
        {
            RowSpan span = _spans[i];
            ReadOnlySpan<byte> rows = input.Slice((step.Runs[i].RowOffset + span.From) * rowBytes, span.Count * rowBytes);
            ActivationCodec.Decode(rows, format, rest[..(span.Count * Slice.HiddenSize)]);
            rest = rest[(span.Count * Slice.HiddenSize)..];
        }

        Slice.SetHidden(hidden);
    }

    // The rows that were computed, in their order.
    private void GetComputed(Span<byte> output, ActivationFormat format)
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

    // All rows, each from where it is. What the log has is read before anything is written to it, which could drive it out.
    private void Merge(Step step, Span<byte> output, ActivationFormat format)
    {
        Span<float> hidden = _staging.AsSpan(0, _batch.RowCount * Slice.HiddenSize);
        if (_batch.RowCount > 0)
            Slice.GetHidden(hidden);
        int rowBytes = PayloadBytes(1, format);
        for (int i = 0; i < step.RunCount; i++)
        {
            ref readonly SequenceRun run = ref step.Runs[i];
            RowSpan span = _spans[i];
            Span<byte> rows = OutputOf(run, output, format);
            _replay!.Read(_sequences[run.Slot].Blocks, run.FirstPosition, span, rows);
            ActivationCodec.Encode(hidden[..(span.Count * Slice.HiddenSize)], format, rows.Slice(span.From * rowBytes, span.Count * rowBytes));
            hidden = hidden[(span.Count * Slice.HiddenSize)..];
        }
    }

    private Span<byte> OutputOf(in SequenceRun run, Span<byte> output, ActivationFormat format) =>
        output.Slice(PayloadBytes(run.RowOffset, format), PayloadBytes(run.RowCount, format));
}
