using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Execution.Replay;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Scheduling;

/// <summary>
/// A pipeline, or a stage of one, whose "KV cache" holds for every position a hash of all tokens up to it, and which samples a hash of
/// what it reads back through the block tables. So a block that was handed to two sequences, a position that was skipped, or a wrong
/// prefix changes the answer. As on the stages, rows that it holds from an earlier epoch (the production's <see cref="BlockRecords"/>
/// say which) are not computed again: one that is taken to be held and is not changes the answer, too.
/// </summary>
internal sealed class SimulatedPipeline(int slots, int blocks)
{
    public const int Vocabulary = 1000;

    private readonly ulong[] _cache = new ulong[blocks * KvShape.BlockSize];
    private readonly BlockRecords _records = new(blocks);
    private readonly SlotState[] _slots = [.. Enumerable.Range(0, slots).Select(_ => new SlotState())];

    /// <summary>Rows that were not computed.</summary>
    public long Reused { get; private set; }

    /// <summary>Rows that were.</summary>
    public long Computed { get; private set; }

    /// <summary>The token that follows a text.</summary>
    public static int Next(IEnumerable<int> tokens)
    {
        ulong hash = 17, all = 0;
        foreach (int token in tokens)
            all = Mixed(all, hash = Mixed(hash, (ulong)token));
        return Sampled(all);
    }

    /// <summary>A new epoch begins: no sequence is there, but what the blocks hold is.</summary>
    public void Reset()
    {
        foreach (SlotState slot in _slots)
            (slot.Sequence, slot.Length) = (-1, 0);
    }

    public SampledTokens Execute(Step step)
    {
        var result = new SampledTokens();
        result.Reset(step.Epoch, step.Number);
        foreach (SequenceRun run in step.Runs)
        {
            SlotState slot = _slots[run.Slot];
            if (run.Begins)
            {
                slot.Sequence = run.Sequence;
                slot.Length = run.FirstPosition;
                slot.Blocks.Clear();
            }

            Assert.Equal(run.Sequence, slot.Sequence);
            Assert.Equal(run.FirstPosition, slot.Length);
            slot.Blocks.AddRange(step.BlocksOf(run));
            foreach (int token in step.TokensOf(run))
                Store(slot, token);
        }

        // As on the stages, all rows are stored before any of them is read.
        foreach (SequenceRun run in step.Runs)
        {
            SlotState slot = _slots[run.Slot];
            if (run.Samples)
            {
                ulong all = Enumerable.Range(0, slot.Length).Aggregate(0UL, (hash, position) => Mixed(hash, _cache[Address(slot, position)]));
                result.Add(run.Slot, run.Sequence, run.SampleIndex, new TokenLogProb(Sampled(all), 0), []);
            }
        }

        return result;
    }

    private static ulong Mixed(ulong hash, ulong value) => (((hash * 6364136223846793005UL) + value) ^ (hash >> 29)) + 1442695040888963407UL;

    private static int Sampled(ulong hash) => (int)((hash >> 33) % Vocabulary);

    private void Store(SlotState slot, int token)
    {
        int position = slot.Length++, offset = position % KvShape.BlockSize, i = position / KvShape.BlockSize;
        int block = slot.Blocks[i], previous = i == 0 ? BlockRecords.None : slot.Blocks[i - 1];
        if (_records.Store(block, previous, offset, [token]) > offset)
        {
            Reused++;
            return;
        }

        _cache[Address(slot, position)] = Mixed(position == 0 ? 17 : _cache[Address(slot, position - 1)], (ulong)token);
        Computed++;
    }

    private static int Address(SlotState slot, int position) =>
        (slot.Blocks[position / KvShape.BlockSize] * KvShape.BlockSize) + (position % KvShape.BlockSize);

    private sealed class SlotState
    {
        public long Sequence { get; set; } = -1;

        public int Length { get; set; }

        public List<int> Blocks { get; } = [];
    }
}
