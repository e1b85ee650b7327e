using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Execution.Replay;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Execution.Replay;

/// <summary>
/// Three stages that spare a replay what they hold, and beside them three that never do and are never lost: every step goes through
/// both, and must give the same bits.
/// </summary>
internal sealed class ReplayPipeline : IDisposable
{
    public const int Stages = 3;
    public const int Blocks = 40;
    public const int Slots = 6;
    public const int MostRows = 64;
    public const int ContextLength = 256;

    private readonly ModelFile _file;
    private readonly CpuDevice _device = new(1);
    private readonly SliceOptions _options;
    private readonly ReplayOptions _replay;
    private readonly StageExecutor[] _stages = new StageExecutor[Stages];
    private readonly StageExecutor[] _truth = new StageExecutor[Stages];
    private readonly long[] _computedBefore = new long[Stages];
    private long _reusedByLost;
    private long _sequences;

    public ReplayPipeline(ModelFile file, ActivationFormat format = ActivationFormat.F32, KvFormat kv = KvFormat.F16, int logBlocks = Blocks)
    {
        _file = file;
        _options = new SliceOptions(MostRows, Slots, Slots, ContextLength, Blocks, kv);
        _replay = new ReplayOptions((long)logBlocks * KvShape.BlockSize * file.Config.HiddenSize * format.ElementBytes(), format);
        for (int i = 0; i < Stages; i++)
        {
            _stages[i] = NewStage(i, _replay);
            _truth[i] = NewStage(i, null);
        }
    }

    public int Vocabulary => _file.Config.VocabularySize;

    /// <summary>Rows that were not computed, over all stages.</summary>
    public long Reused => _reusedByLost + _stages.Sum(stage => stage.RowsReused);

    public long NewSequence() => _sequences++;

    /// <summary>Rows that a stage has computed since this was asked last.</summary>
    public long[] Computed()
    {
        long[] computed = [.. _stages.Select((stage, i) => stage.RowsComputed - _computedBefore[i])];
        for (int i = 0; i < Stages; i++)
            _computedBefore[i] = _stages[i].RowsComputed;
        return computed;
    }

    /// <summary>A stage is lost and another takes its place; a new epoch begins.</summary>
    public void Lose(int stage)
    {
        _reusedByLost += _stages[stage].RowsReused;
        _stages[stage].Dispose();
        _stages[stage] = NewStage(stage, _replay);
        _computedBefore[stage] = 0;
        Reset();
    }

    public void Reset()
    {
        foreach (StageExecutor stage in _stages.Concat(_truth))
            stage.Reset();
    }

    /// <summary>A stage fails in the midst of a step: it gets too few activations.</summary>
    public void Fail(int stage, Step step)
    {
        Assert.ThrowsAny<Exception>(() => _stages[stage].Run(step, [], _replay.Format));
        Reset();
    }

    /// <summary>Carries a step through all stages.</summary>
    /// <returns>The sampled tokens.</returns>
    public int[] Run(Step step)
    {
        int[] found = Run(_stages, step, out int[][] bits), wanted = Run(_truth, step, out int[][] trueBits);
        Assert.Equal(wanted, found);
        for (int i = 0; i < bits.Length; i++)
            Assert.True(trueBits[i].AsSpan().SequenceEqual(bits[i]), $"step {step.Number}: the logits of sampling row {i} differ");
        return found;
    }

    /// <summary>The only run of a step, of a sequence of its own if it begins.</summary>
    public static Step StepOf(SequenceRun run, ReadOnlySpan<int> tokens, ReadOnlySpan<int> blocks)
    {
        var step = new Step();
        step.Add(run with { Sampling = run.Begins ? SamplingParameters.Greedy : null }, tokens, run.Begins ? blocks : []);
        return step;
    }

    /// <summary>A prompt in chunks, from position 0, in slot 0.</summary>
    /// <returns>The token after it.</returns>
    public int Prefill(ReadOnlySpan<int> tokens, ReadOnlySpan<int> blocks, int chunk)
    {
        long sequence = NewSequence();
        int next = -1;
        for (int position = 0; position < tokens.Length; position += chunk)
        {
            int rows = Math.Min(chunk, tokens.Length - position);
            bool samples = position + rows == tokens.Length;
            int[] sampled = Run(StepOf(
                new SequenceRun { Sequence = sequence, FirstPosition = position, Begins = position == 0, Samples = samples }, tokens.Slice(position, rows), blocks));
            next = samples ? sampled[0] : -1;
        }

        return next;
    }

    public void Dispose()
    {
        foreach (StageExecutor stage in _stages.Concat(_truth))
            stage.Dispose();
        _device.Dispose();
    }

    private int[] Run(StageExecutor[] stages, Step step, out int[][] bits)
    {
        byte[] payload = [];
        for (int i = 0; i < Stages; i++)
        {
            stages[i].Run(step, payload, _replay.Format);
            if (i == Stages - 1)
                break;
            payload = new byte[stages[i].PayloadBytes(step.RowCount, _replay.Format)];
            stages[i].GetOutput(step, payload, _replay.Format);
        }

        StageExecutor last = stages[^1];
        var logits = new float[Vocabulary];
        bits = new int[last.LogitRowCount][];
        for (int i = 0; i < bits.Length; i++)
        {
            last.GetLogits(i, logits);
            bits[i] = MemoryMarshal.Cast<float, int>(logits).ToArray();
        }

        var sampled = new SampledTokens();
        last.Sample(step, sampled);
        return [.. sampled.Rows.ToArray().Select(row => row.Token.Token)];
    }

    private StageExecutor NewStage(int stage, ReplayOptions? replay) =>
        new(ModelSlice.Load(_file, _device, SliceRange.Split(_file.Config.LayerCount, Stages)[stage], _options), Slots, replay);
}
