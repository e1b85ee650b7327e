using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Scheduling;

/// <summary>A generation as the scheduler sees it: its tokens, and how far they have been computed.</summary>
public sealed class Sequence
{
    private int[] _tokens;
    private int _lengthAtLoss = -1;

    /// <summary>Creates a sequence that waits.</summary>
    /// <param name="id">The generation's id.</param>
    /// <param name="prompt">Tokens of the prompt; at least one.</param>
    /// <param name="log">Tokens generated before, by a pipeline that was lost.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="maxTokens">Most tokens of the answer, those of the log included.</param>
    /// <param name="endTokens">Tokens that end the answer.</param>
    public Sequence(
        string id, ReadOnlySpan<int> prompt, ReadOnlySpan<int> log, SamplingParameters sampling, int maxTokens,
        IReadOnlySet<int> endTokens)
    {
        if (prompt.IsEmpty)
            throw new ArgumentException("a prompt has at least one token", nameof(prompt));
        Id = id;
        PromptLength = prompt.Length;
        Sampling = sampling;
        MaxTokens = maxTokens;
        EndTokens = endTokens;
        _tokens = new int[prompt.Length + Math.Max(log.Length, 16)];
        prompt.CopyTo(_tokens);
        log.CopyTo(_tokens.AsSpan(prompt.Length));
        Length = prompt.Length + log.Length;
    }

    /// <summary>The generation's id.</summary>
    public string Id { get; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingParameters Sampling { get; }

    /// <summary>Most tokens of the answer.</summary>
    public int MaxTokens { get; }

    /// <summary>Tokens that end the answer.</summary>
    public IReadOnlySet<int> EndTokens { get; }

    /// <summary>Tokens of prompt and answer so far.</summary>
    public int Length { get; private set; }

    /// <summary>Tokens generated so far.</summary>
    public int GeneratedCount => Length - PromptLength;

    /// <summary>Prompt tokens that were found in the cache when it was first admitted; null before that.</summary>
    public int? CachedTokens { get; internal set; }

    /// <summary>The tokens so far, the prompt's first.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    /// <summary>Its number in the pipeline; a new one each time it is admitted, so that results of its past life are told apart.</summary>
    internal long Number { get; set; }

    /// <summary>Its slot on the stages; meaningful while it runs.</summary>
    internal int Slot { get; set; }

    /// <summary>Positions whose rows are in a step, done or on its way.</summary>
    internal int Scheduled { get; set; }

    /// <summary>Positions that its blocks may hold from an earlier pipeline, the last block's included.</summary>
    internal int TailEnd { get; set; }

    /// <summary>Positions that have been scheduled once, in whatever pipeline.</summary>
    internal int Passed { get; set; }

    /// <summary>Whether a row that samples is on its way: there is nothing to compute until its token is back.</summary>
    internal bool AwaitsToken { get; set; }

    /// <summary>The number of the last step that has rows of it.</summary>
    internal long LastStep { get; set; } = -1;

    /// <summary>Its KV blocks.</summary>
    internal List<int> Blocks { get; } = [];

    /// <summary>How many of its blocks the stages know.</summary>
    internal int SentBlocks { get; set; }

    /// <summary>How many of its blocks have been offered to the prefix cache.</summary>
    internal int CacheOffered { get; set; }

    /// <summary>Pipelines in a row that were lost while they computed it, without a token between them.</summary>
    internal int Losses { get; private set; }

    /// <summary>Whether it may be what kills its stage.</summary>
    internal bool IsSuspect => Losses >= BatchScheduler.MostLosses - 1;

    /// <summary>Whether the sampler needs the whole history, so that every token must pass through the pipeline.</summary>
    internal bool NeedsHistory =>
        Sampling.RepetitionPenalty != 1 || Sampling.FrequencyPenalty != 0 || Sampling.PresencePenalty != 0;

    /// <summary>Takes the next token.</summary>
    internal void Append(int token)
    {
        if (Length == _tokens.Length)
            Array.Resize(ref _tokens, 2 * Length);
        _tokens[Length++] = token;
        Losses = 0;
    }

    /// <summary>The pipeline was lost while it computed this.</summary>
    internal void CountLoss()
    {
        Losses = Length == _lengthAtLoss ? Losses + 1 : 1;
        _lengthAtLoss = Length;
    }

    /// <summary>Forgets the pipeline's share of the state.</summary>
    internal void ResetProgress()
    {
        Scheduled = TailEnd = SentBlocks = CacheOffered = 0;
        AwaitsToken = false;
        LastStep = -1;
    }
}
