using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Scheduling;

/// <summary>
/// A pipeline that keeps the token of every position in its "KV cache" and samples a hash of what it reads back through the
/// block tables. So a block that was handed to two sequences, a position that was skipped, or a wrong prefix changes the answer.
/// </summary>
internal sealed class SimulatedPipeline(int slots, int blocks)
{
    public const int Vocabulary = 1000;

    private readonly int[] _cache = new int[blocks * KvShape.BlockSize];
    private readonly SlotState[] _slots = [.. Enumerable.Range(0, slots).Select(_ => new SlotState())];

    /// <summary>The token that follows a text.</summary>
    public static int Next(IEnumerable<int> tokens)
    {
        ulong hash = 17;
        foreach (int token in tokens)
            hash = (hash * 6364136223846793005UL) + (ulong)token + 1442695040888963407UL;
        return (int)((hash >> 33) % Vocabulary);
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
                _cache[Address(slot, slot.Length++)] = token;
        }

        // As on the stages, all rows are stored before any of them is read.
        foreach (SequenceRun run in step.Runs)
        {
            SlotState slot = _slots[run.Slot];
            if (run.Samples)
            {
                int next = Next(Enumerable.Range(0, slot.Length).Select(position => _cache[Address(slot, position)]));
                result.Add(run.Slot, run.Sequence, run.SampleIndex, new TokenLogProb(next, 0), []);
            }
        }

        return result;
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
