using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Execution;

/// <summary>One sequence's rows in a step.</summary>
public readonly record struct SequenceRun
{
    /// <summary>Where the stages keep the sequence's state; reused when a sequence begins.</summary>
    public int Slot { get; init; }

    /// <summary>Number of the sequence, never reused within an epoch: tells a slot's owner from its predecessor.</summary>
    public long Sequence { get; init; }

    /// <summary>Position of the first row; everything before it is in the KV cache already.</summary>
    public int FirstPosition { get; init; }

    /// <summary>Rows, at consecutive positions.</summary>
    public int RowCount { get; init; }

    /// <summary>Where its tokens start in <see cref="Step.Tokens"/>.</summary>
    public int RowOffset { get; init; }

    /// <summary>Where the blocks start in <see cref="Step.Blocks"/> that are appended to its block table.</summary>
    public int BlockOffset { get; init; }

    /// <summary>How many blocks are appended.</summary>
    public int BlockCount { get; init; }

    /// <summary>Whether the slot is taken over by this sequence: the stages forget what it held.</summary>
    public bool Begins { get; init; }

    /// <summary>Whether a token is sampled after the last row.</summary>
    public bool Samples { get; init; }

    /// <summary>Number of the sampled token within the answer: the key of its random number.</summary>
    public int SampleIndex { get; init; }

    /// <summary>How many of the sequence's tokens are its prompt; travels when it begins.</summary>
    public int PromptLength { get; init; }

    /// <summary>How its tokens are sampled; travels when it begins, null otherwise.</summary>
    public SamplingParameters? Sampling { get; init; }
}

/// <summary>
/// The rows that go through a pipeline together. Reused: its arrays grow to the largest step and stay.
/// </summary>
public sealed class Step
{
    private SequenceRun[] _runs = new SequenceRun[16];
    private int[] _tokens = new int[64];
    private int[] _blocks = new int[64];

    /// <summary>The replica's epoch: stages refuse steps of older ones.</summary>
    public long Epoch { get; set; }

    /// <summary>Number of the step within the epoch, from 0 without gaps.</summary>
    public long Number { get; set; }

    /// <summary>Sequences that take part.</summary>
    public int RunCount { get; private set; }

    /// <summary>Rows over all sequences.</summary>
    public int RowCount { get; private set; }

    /// <summary>Blocks appended to the sequences' tables.</summary>
    public int BlockCount { get; private set; }

    /// <summary>The sequences' rows, in row order.</summary>
    public ReadOnlySpan<SequenceRun> Runs => _runs.AsSpan(0, RunCount);

    /// <summary>Token of each row.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, RowCount);

    /// <summary>The appended blocks.</summary>
    public ReadOnlySpan<int> Blocks => _blocks.AsSpan(0, BlockCount);

    /// <summary>Tokens that will be sampled.</summary>
    public int SampleCount
    {
        get
        {
            int count = 0;
            foreach (ref readonly SequenceRun run in Runs)
                count += run.Samples ? 1 : 0;
            return count;
        }
    }

    /// <summary>Empties the step.</summary>
    public void Clear()
    {
        Array.Clear(_runs, 0, RunCount); // drop the references to sampling parameters
        RunCount = RowCount = BlockCount = 0;
    }

    /// <summary>Adds a sequence's rows; offsets and counts of <paramref name="run"/> are set here.</summary>
    public void Add(in SequenceRun run, ReadOnlySpan<int> tokens, ReadOnlySpan<int> blocks)
    {
        Grow(ref _runs, RunCount + 1);
        Grow(ref _tokens, RowCount + tokens.Length);
        Grow(ref _blocks, BlockCount + blocks.Length);
        _runs[RunCount++] = run with
        {
            RowOffset = RowCount,
            RowCount = tokens.Length,
            BlockOffset = BlockCount,
            BlockCount = blocks.Length,
        };
        tokens.CopyTo(_tokens.AsSpan(RowCount));
        blocks.CopyTo(_blocks.AsSpan(BlockCount));
        RowCount += tokens.Length;
        BlockCount += blocks.Length;
    }

    /// <summary>The tokens of a run.</summary>
    public ReadOnlySpan<int> TokensOf(in SequenceRun run) => _tokens.AsSpan(run.RowOffset, run.RowCount);

    /// <summary>The blocks that a run appends.</summary>
    public ReadOnlySpan<int> BlocksOf(in SequenceRun run) => _blocks.AsSpan(run.BlockOffset, run.BlockCount);

    private static void Grow<T>(ref T[] array, int needed)
    {
        if (needed > array.Length)
            Array.Resize(ref array, Math.Max(needed, 2 * array.Length));
    }
}
