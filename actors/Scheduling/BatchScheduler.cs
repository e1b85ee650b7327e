using System.Runtime.InteropServices;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Actors.Scheduling;

/// <summary>
/// Decides what goes through a pipeline next: continuous batching at step boundaries, chunked prefill, and as many micro-batches
/// in flight as keep every stage busy. It knows no actors, no clock and no threads; the same calls always give the same steps.
/// </summary>
/// <remarks>
/// Blocks and slots are freed the moment a sequence ends, even while a step of it is under way: every stage computes the steps in
/// their order, so whatever the old step still writes lies before everything that the new owner does. Results of a past life are
/// told apart by the sequence's number.
/// </remarks>
public sealed class BatchScheduler
{
    /// <summary>Lost pipelines in a row, without a token between them, after which a sequence is given up.</summary>
    public const int MostLosses = 3;

    // Rows of a prompt that are worth a step of their own: with fewer, reading the weights takes longer than multiplying by them.
    private const int LeastPrefillRows = 64;

    private readonly SchedulerOptions _options;
    private readonly LinkedList<Sequence> _waiting = new();
    private readonly List<Sequence> _running = [];
    private readonly Dictionary<string, Sequence> _byId = [];
    private readonly Sequence?[] _slots;
    private readonly Stack<int> _freeSlots = new();

    // Of each step on its way, whether it has decoding rows.
    private readonly Queue<bool> _inFlight = new();
    private BlockManager _blocks = new(0);
    private int _stages;
    private long _nextStep;
    private long _nextNumber;
    private int _decodingSteps;

    /// <summary>Creates a scheduler without a pipeline: sequences wait until <see cref="Activate"/>.</summary>
    public BatchScheduler(SchedulerOptions options)
    {
        _options = options;
        _slots = new Sequence?[options.MaxSequences];
    }

    /// <summary>Sequences being computed.</summary>
    public int RunningCount => _running.Count;

    /// <summary>Sequences in the queue.</summary>
    public int WaitingCount => _waiting.Count;

    /// <summary>KV blocks of the pipeline.</summary>
    public int BlockCount => _blocks.Count;

    /// <summary>KV blocks that sequences hold.</summary>
    public int UsedBlockCount => _blocks.Count - _blocks.FreeCount;

    /// <summary>Rows that were sent through a pipeline again: after a loss, or when blocks had run out.</summary>
    public long RowsReplayed { get; private set; }

    /// <summary>Steps on their way through the pipeline.</summary>
    public int StepsInFlight => _inFlight.Count;

    /// <summary>Number of the step whose result is due next, if any is on its way.</summary>
    public long OldestStepInFlight => _nextStep - StepsInFlight;

    /// <summary>Whether there is a pipeline.</summary>
    public bool IsActive => _stages > 0;

    /// <summary>Most steps on their way at one time: one a stage, one being sent and one being returned.</summary>
    public int MaxStepsInFlight => _stages + 2;

    /// <summary>Whether a sequence of that many tokens can ever be computed by the present pipeline.</summary>
    public bool Fits(int tokens) => !IsActive || KvPool.BlocksFor(tokens) <= _blocks.Count;

    /// <summary>Whether a sequence has its last token already, so that there is nothing to compute.</summary>
    public bool IsWhole(Sequence sequence) => sequence.GeneratedCount >= sequence.MaxTokens || sequence.Length >= _options.ContextLength;

    /// <summary>Whether the queue takes another sequence.</summary>
    public bool HasRoom => _waiting.Count < _options.MaxWaiting;

    /// <summary>The sequence of that id, if it waits or runs.</summary>
    public Sequence? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>Puts a sequence at the end of the queue. Check <see cref="IsWhole"/>, <see cref="HasRoom"/> and <see cref="Fits"/> first.</summary>
    public void Submit(Sequence sequence)
    {
        _byId.Add(sequence.Id, sequence);
        _waiting.AddLast(sequence);
    }

    /// <summary>Forgets a sequence and frees what it holds.</summary>
    /// <returns>The sequence; null if it was not known (any more).</returns>
    public Sequence? Remove(string id)
    {
        if (!_byId.Remove(id, out Sequence? sequence))
            return null;
        if (!_waiting.Remove(sequence))
            Retire(sequence);
        return sequence;
    }

    /// <summary>
    /// A pipeline is there: computing begins, of everything anew. With as many KV blocks as the last one, the same tokens go into the same
    /// blocks again, because stages that were there may still hold them.
    /// </summary>
    /// <param name="stages">Its stages.</param>
    /// <param name="kvBlocks">Its KV blocks.</param>
    /// <returns>Sequences that can never be computed by it; they are forgotten.</returns>
    public IReadOnlyList<Sequence> Activate(int stages, int kvBlocks)
    {
        Deactivate();
        _stages = stages;
        if (kvBlocks == _blocks.Count)
            _blocks.Expire();
        else
            _blocks = new BlockManager(kvBlocks);
        _nextStep = 0;
        _freeSlots.Clear();
        for (int slot = _slots.Length - 1; slot >= 0; slot--)
            _freeSlots.Push(slot);

        List<Sequence> misfits = [.. _waiting.Where(sequence => !Fits(Math.Min(sequence.PromptLength + sequence.MaxTokens, _options.ContextLength)))];
        foreach (Sequence sequence in misfits)
            Remove(sequence.Id);
        return misfits;
    }

    /// <summary>The pipeline is gone, and with it keys and values of at least one stage: running sequences wait to be computed again.</summary>
    public void Deactivate()
    {
        for (int i = _running.Count - 1; i >= 0; i--)
        {
            KeepTail(_running[i]);
            Preempt(_running[i]);
        }

        _stages = 0;
        _inFlight.Clear();
        _decodingSteps = 0;
    }

    /// <summary>
    /// The pipeline was lost while it computed. A sequence that was under way each time, with no new token between the losses, may
    /// be what kills its stage: after the second time it is computed alone, after the third given up.
    /// </summary>
    /// <returns>The sequences that were given up; they are forgotten.</returns>
    public IReadOnlyList<Sequence> Lose()
    {
        foreach (Sequence sequence in _running)
        {
            if (sequence.LastStep >= OldestStepInFlight)
                sequence.CountLoss();
        }

        Deactivate();
        List<Sequence> poison = [.. _waiting.Where(sequence => sequence.Losses >= MostLosses)];
        foreach (Sequence sequence in poison)
            Remove(sequence.Id);
        return poison;
    }

    /// <summary>Fills the next step, if there is room in the pipeline and anything to compute.</summary>
    /// <param name="step">Filled, its number set; its epoch is the caller's.</param>
    public bool TrySchedule(Step step)
    {
        if (!IsActive || StepsInFlight >= MaxStepsInFlight)
            return false;
        step.Clear();
        step.Number = _nextStep;
        AddDecodingRows(step);
        bool decodes = step.RowCount > 0;
        int limit = Math.Min(step.RowCount + PrefillShare(), _options.MaxRows);
        AddPrefillRows(step, limit);
        while (step.RowCount < limit && Admit() is { } admitted)
            AddRows(step, admitted, limit - step.RowCount);
        if (step.RowCount == 0)
            return false;
        _nextStep++;
        _inFlight.Enqueue(decodes);
        _decodingSteps += decodes ? 1 : 0;
        return true;
    }

    /// <summary>Takes the result of the oldest step in flight.</summary>
    public void Complete(SampledTokens result, ISchedulerListener listener)
    {
        _decodingSteps -= _inFlight.Dequeue() ? 1 : 0;
        foreach (ref readonly SampledRow row in result.Rows)
        {
            // A sequence that was removed or preempted meanwhile has another number, or none.
            if ((uint)row.Slot >= (uint)_slots.Length || _slots[row.Slot] is not { } sequence
                || sequence.Number != row.Sequence || row.Index != sequence.GeneratedCount)
            {
                continue;
            }

            sequence.AwaitsToken = false;
            sequence.Append(row.Token.Token);
            if (sequence.EndTokens.Contains(row.Token.Token))
            {
                Finish(sequence, FinishReason.EndToken, listener);
                continue;
            }

            listener.OnToken(sequence, row.Token.LogProb, result.TopOf(row));
            if (IsWhole(sequence))
                Finish(sequence, FinishReason.Length, listener);
        }
    }

    // Decoding sequences are dealt out over as many steps as there are stages: with one step for all of them, every stage but
    // one would wait. With more steps, each reading of the weights would serve fewer rows: sequences that began apart come to share
    // a step by waiting for the next of these to return.
    private void AddDecodingRows(Step step)
    {
        if (_decodingSteps >= _stages)
            return;
        int decoding = 0;
        foreach (Sequence sequence in _running)
            decoding += IsDecoding(sequence) ? 1 : 0;
        int share = Math.Min((decoding + _stages - 1) / _stages, _options.MaxRows);
        for (int i = 0; i < _running.Count && step.RowCount < share; i++)
        {
            Sequence sequence = _running[i];
            if (!sequence.AwaitsToken && IsDecoding(sequence) && !AddRows(step, sequence, 1))
                i--; // it was preempted, and the next one stands in its place
        }
    }

    // Prompts that would fit one step are dealt out over the stages, too: the first stage works on the next part while the second has
    // this one.
    private int PrefillShare()
    {
        int most = _options.MaxRows * _stages, pending = 0;
        foreach (Sequence sequence in _running)
            pending += IsDecoding(sequence) ? 0 : sequence.Length - sequence.Scheduled;
        for (LinkedListNode<Sequence>? node = _waiting.First; node is not null && pending < most; node = node.Next)
            pending += node.Value.Length;
        return Math.Max((pending + _stages - 1) / _stages, LeastPrefillRows);
    }

    private void AddPrefillRows(Step step, int limit)
    {
        for (int i = 0; i < _running.Count && step.RowCount < limit; i++)
        {
            Sequence sequence = _running[i];
            if (!sequence.AwaitsToken && !IsDecoding(sequence) && !AddRows(step, sequence, limit - step.RowCount))
                i--;
        }
    }

    private static bool IsDecoding(Sequence sequence) => sequence.AwaitsToken || sequence.Length - sequence.Scheduled == 1;

    // Takes the first waiting sequence in, if a slot and the blocks for all of its present tokens are there.
    private Sequence? Admit()
    {
        if (_freeSlots.Count == 0 || _waiting.First is not { Value: var sequence } || !MayRunBeside(sequence))
            return null;

        // The last token is always computed: its logits are wanted. What must pass through the pipeline, or is stale, goes into its old
        // blocks again: to write there what is there harms nobody.
        int cached = Math.Min(_blocks.TakePrefix(sequence.Tokens, sequence.Blocks), (sequence.Length - 1) / KvShape.BlockSize * KvShape.BlockSize);
        if (sequence.NeedsHistory)
            cached = 0;
        if (KvPool.BlocksFor(sequence.Length + 1) - sequence.Blocks.Count > _blocks.FreeCount)
        {
            _blocks.Release(sequence.Blocks);
            return null;
        }

        int kept = sequence.Blocks.Count * KvShape.BlockSize;
        sequence.TailEnd = kept + _blocks.TakeTail(sequence.Tokens[kept..], sequence.Blocks);
        _ = TryExtend(sequence, sequence.Length);
        _waiting.RemoveFirst();
        sequence.Slot = _freeSlots.Pop();
        sequence.Number = _nextNumber++;
        sequence.Scheduled = cached;
        sequence.CachedTokens ??= cached;
        sequence.CacheOffered = cached / KvShape.BlockSize;
        _slots[sequence.Slot] = sequence;
        _running.Add(sequence);
        return sequence;
    }

    // A sequence under suspicion is computed alone, so that the next loss tells whether it was the cause.
    private bool MayRunBeside(Sequence sequence) =>
        _running.Count == 0 || (!sequence.IsSuspect && !_running[0].IsSuspect);

    // Blocks for all tokens known at admission were taken then, so only a decoding row can lack one: the youngest sequence outside
    // this step gives way. False when that is the sequence itself.
    private bool AddRows(Step step, Sequence sequence, int budget)
    {
        int rows = Math.Min(budget, sequence.Length - sequence.Scheduled);
        while (!TryExtend(sequence, sequence.Scheduled + rows))
        {
            Sequence victim = YoungestOutside(step) ?? sequence;
            Preempt(victim);
            if (victim == sequence)
                return false;
        }

        int last = sequence.Scheduled + rows;
        RowsReplayed += Math.Max(Math.Min(last, sequence.Passed) - sequence.Scheduled, 0);
        sequence.Passed = Math.Max(sequence.Passed, last);
        bool begins = sequence.LastStep < 0, samples = last == sequence.Length;
        step.Add(
            new SequenceRun
            {
                Slot = sequence.Slot,
                Sequence = sequence.Number,
                FirstPosition = sequence.Scheduled,
                Begins = begins,
                Samples = samples,
                SampleIndex = sequence.GeneratedCount,
                PromptLength = sequence.PromptLength,
                Sampling = begins ? sequence.Sampling : null,
            },
            sequence.Tokens[sequence.Scheduled..last],
            CollectionsMarshal.AsSpan(sequence.Blocks)[sequence.SentBlocks..]);
        sequence.Scheduled = last;
        sequence.SentBlocks = sequence.Blocks.Count;
        sequence.AwaitsToken = samples;
        sequence.LastStep = step.Number;
        OfferToCache(sequence);
        return true;
    }

    private Sequence? YoungestOutside(Step step)
    {
        for (int i = _running.Count - 1; i >= 0; i--)
        {
            if (_running[i].LastStep != step.Number)
                return _running[i];
        }

        return null;
    }

    private bool TryExtend(Sequence sequence, int positions)
    {
        while (sequence.Blocks.Count < KvPool.BlocksFor(positions))
        {
            if (!_blocks.TryAllocate(out int block))
                return false;
            sequence.Blocks.Add(block);
        }

        return true;
    }

    // A block may be found by others as soon as the rows that fill it are scheduled: their steps come later, or read it in the
    // same step after it was written.
    private void OfferToCache(Sequence sequence)
    {
        const int size = KvShape.BlockSize;
        for (; (sequence.CacheOffered + 1) * size <= sequence.Scheduled; sequence.CacheOffered++)
        {
            int i = sequence.CacheOffered;
            _blocks.Cache(sequence.Blocks[i], i == 0 ? null : sequence.Blocks[i - 1], sequence.Tokens.Slice(i * size, size));
        }
    }

    // The block that is not full, so that the sequence finds it again; the full ones are known.
    private void KeepTail(Sequence sequence)
    {
        const int size = KvShape.BlockSize;
        int end = Math.Max(sequence.Scheduled, sequence.TailEnd), i = end / size;
        if (end % size > 0)
            _blocks.KeepTail(sequence.Blocks[i], i == 0 ? null : sequence.Blocks[i - 1], sequence.Tokens[(i * size)..end]);
    }

    // Back to the head of the queue, to be computed again from its tokens.
    private void Preempt(Sequence sequence)
    {
        Retire(sequence);
        _waiting.AddFirst(sequence);
    }

    private void Finish(Sequence sequence, FinishReason reason, ISchedulerListener listener)
    {
        _byId.Remove(sequence.Id);
        Retire(sequence);
        listener.OnFinished(sequence, reason);
    }

    private void Retire(Sequence sequence)
    {
        _running.Remove(sequence);
        _slots[sequence.Slot] = null;
        _freeSlots.Push(sequence.Slot);
        _blocks.Release(sequence.Blocks);
        sequence.ResetProgress();
    }
}
