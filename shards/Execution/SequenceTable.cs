using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Execution;

/// <summary>What a stage remembers of the sequences whose KV it holds, slot by slot.</summary>
internal sealed class SequenceTable
{
    private readonly SequenceState[] _slots;
    private readonly int _contextLength;

    public SequenceTable(int slots, int contextLength)
    {
        _contextLength = contextLength;
        _slots = new SequenceState[slots];
        for (int i = 0; i < slots; i++)
            _slots[i] = new SequenceState();
    }

    public SequenceState this[int slot] => _slots[slot];

    public void Clear()
    {
        foreach (SequenceState state in _slots)
            state.Clear();
    }

    /// <summary>
    /// Takes a run's rows into its slot. A run is taken only if it begins a sequence or continues exactly where the slot's
    /// sequence stands, so a step that was lost, repeated or reordered can never write into the cache.
    /// </summary>
    public SequenceState Accept(Step step, in SequenceRun run, KvPool pool, int vocabularySize, bool keepTokens)
    {
        if ((uint)run.Slot >= (uint)_slots.Length)
            throw Refuse(step, run, $"slot {run.Slot} is not one of the stage's {_slots.Length}");
        if (run.RowCount < 1 || run.FirstPosition < 0 || (long)run.FirstPosition + run.RowCount > _contextLength)
            throw Refuse(step, run, $"{run.RowCount} rows from position {run.FirstPosition} do not fit the context of {_contextLength}");
        ReadOnlySpan<int> tokens = step.TokensOf(run), blocks = step.BlocksOf(run);
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)vocabularySize)
                throw Refuse(step, run, $"token {token} is outside the vocabulary of {vocabularySize}");
        }

        if (!pool.Holds(blocks))
            throw Refuse(step, run, $"a block of its table is not one of the stage's {pool.Blocks}");

        SequenceState state = _slots[run.Slot];
        if (run.Begins)
            state.Begin(run);
        else if (state.Sequence != run.Sequence || state.Length != run.FirstPosition)
            throw Refuse(step, run, $"position {run.FirstPosition} does not follow sequence {state.Sequence} at length {state.Length} in slot {run.Slot}");

        int length = run.FirstPosition + run.RowCount;
        if ((state.BlockCount + blocks.Length) * KvShape.BlockSize < length)
            throw Refuse(step, run, $"{state.BlockCount + blocks.Length} blocks cannot hold {length} positions");
        state.Append(run.FirstPosition, tokens, blocks, keepTokens);
        return state;
    }

    private static StepRefusedException Refuse(Step step, in SequenceRun run, string reason) =>
        new($"step {step.Number} of epoch {step.Epoch}, sequence {run.Sequence}: {reason}");
}

/// <summary>One sequence as a stage sees it.</summary>
internal sealed class SequenceState
{
    private int[] _blocks = new int[16];
    private int[] _tokens = [];

    public long Sequence { get; private set; } = -1;

    /// <summary>Positions whose keys and values are cached.</summary>
    public int Length { get; private set; }

    public int BlockCount { get; private set; }

    public int PromptLength { get; private set; }

    public SamplingParameters Sampling { get; private set; } = SamplingParameters.Greedy;

    public ReadOnlySpan<int> Blocks => _blocks.AsSpan(0, BlockCount);

    /// <summary>The tokens so far; only the stage that samples keeps them.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    public void Clear()
    {
        Sequence = -1;
        Length = BlockCount = 0;
    }

    public void Begin(in SequenceRun run)
    {
        Sequence = run.Sequence;
        Length = run.FirstPosition;
        BlockCount = 0;
        PromptLength = run.PromptLength;
        Sampling = run.Sampling ?? SamplingParameters.Greedy;
    }

    public void Append(int position, ReadOnlySpan<int> tokens, ReadOnlySpan<int> blocks, bool keepTokens)
    {
        if (BlockCount + blocks.Length > _blocks.Length)
            Array.Resize(ref _blocks, Math.Max(BlockCount + blocks.Length, 2 * _blocks.Length));
        blocks.CopyTo(_blocks.AsSpan(BlockCount));
        BlockCount += blocks.Length;

        Length = position + tokens.Length;
        if (!keepTokens)
            return;
        if (Length > _tokens.Length)
            Array.Resize(ref _tokens, Math.Max(Length, 2 * Math.Max(_tokens.Length, 64)));
        tokens.CopyTo(_tokens.AsSpan(position));
    }
}
