namespace Llama3Cluster.Actors.Scheduling;

/// <summary>Limits of a replica's scheduler.</summary>
/// <param name="MaxRows">Most rows of one step: the size of a prefill chunk, less the decoding rows beside it.</param>
/// <param name="MaxSequences">Most sequences that hold KV blocks at one time.</param>
/// <param name="MaxWaiting">Most sequences in the queue.</param>
/// <param name="ContextLength">Most tokens of prompt and answer.</param>
public sealed record SchedulerOptions(int MaxRows, int MaxSequences, int MaxWaiting, int ContextLength);

/// <summary>Hears what a completed step means for the sequences.</summary>
public interface ISchedulerListener
{
    /// <summary>A sequence has a new token; it is the last of <see cref="Sequence.Tokens"/>.</summary>
    void OnToken(Sequence sequence, float logProb, ReadOnlySpan<Shards.Sampling.TokenLogProb> top);

    /// <summary>A sequence is complete; the scheduler has forgotten it.</summary>
    void OnFinished(Sequence sequence, Inference.FinishReason reason);
}
