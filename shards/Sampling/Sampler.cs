using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Sampling;

/// <summary>
/// Chooses the next token from a row of logits. One instance serves one stage, one row at a time; its scratch is allocated once
/// and a call allocates nothing. The choice is a pure function of the arguments.
/// </summary>
/// <remarks>
/// The order of operations is vLLM's (docs.vllm.ai, <c>vllm.v1.sample.sampler</c>):
/// <list type="number">
/// <item>log-probabilities to report, from the model's own logits (vLLM's default <c>raw_logprobs</c>);</item>
/// <item>logit bias;</item>
/// <item>repetition penalty over prompt and answer; frequency and presence penalty over the answer;</item>
/// <item>temperature 0: the largest logit, the lowest id of equals. Otherwise:</item>
/// <item>temperature, top-k, min-p (vLLM has it before top-k; the two commute), then top-p over the renormalized rest;</item>
/// <item>one uniform number, keyed by (seed, index), inverts the cumulative distribution of what is left.</item>
/// </list>
/// Sums are in double precision over max-subtracted exponents. Of equal logits, filters keep the lower id first. A NaN logit
/// counts as minus infinity: a token that is neither drawn nor reported.
/// </remarks>
public sealed class Sampler
{
    private readonly int _vocabularySize;
    private readonly LogitAdjustment _adjustment;
    private readonly CandidateSet _candidates;
    private readonly TokenDraw _draw;
    private readonly float[] _modelLogits;

    // Minus infinity everywhere between calls.
    private readonly float[] _sparseLogits;

    /// <summary>Allocates the scratch for one vocabulary, about 28 bytes a token.</summary>
    /// <param name="vocabularySize">Logits of a row.</param>
    public Sampler(int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 1);
        _vocabularySize = vocabularySize;
        _adjustment = new LogitAdjustment(vocabularySize);
        _candidates = new CandidateSet(vocabularySize);
        _draw = new TokenDraw(vocabularySize);
        _modelLogits = new float[vocabularySize];
        _sparseLogits = new float[vocabularySize];
        Array.Fill(_sparseLogits, float.NegativeInfinity);
    }

    /// <summary>
    /// How many of the largest logits decide a choice by these parameters, so that <see cref="TrySample"/> needs no others; 0 if all may.
    /// </summary>
    public int CandidatesFor(SamplingParameters parameters)
    {
        if (parameters.TopLogProbs is not null || LogitAdjustment.IsNeeded(parameters))
            return 0;
        if (parameters.Temperature == 0)
            return 1;

        // One more than are kept says whether there are more.
        return parameters.TopK is > 0 and < Candidate.Most ? Math.Min(parameters.TopK + 1, _vocabularySize) : 0;
    }

    /// <summary>Chooses a token from the largest logits alone: the one that <see cref="Sample"/> chooses from all.</summary>
    /// <param name="best">The largest logits, at least as many as <see cref="CandidatesFor"/> says; largest first, of equals the lower token first.</param>
    /// <param name="parameters">How to choose.</param>
    /// <param name="index">The token's number within the answer.</param>
    /// <param name="token">The token, without a log-probability.</param>
    /// <returns>False where all logits are needed: the largest is infinite, or none is a number.</returns>
    /// <exception cref="ArgumentException">There are too few logits.</exception>
    public bool TrySample(ReadOnlySpan<Candidate> best, SamplingParameters parameters, int index, out TokenLogProb token)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        int needed = CandidatesFor(parameters);
        if (needed == 0 || best.Length < needed)
            throw new ArgumentException($"{best.Length} of the largest logits were given; {(needed == 0 ? _vocabularySize : needed)} are needed", nameof(best));

        float max = best[0].Value;
        token = new TokenLogProb(best[0].Index, 0);
        if (!float.IsFinite(max))
            return false;
        if (parameters.Temperature == 0)
            return true;

        // As the filters of all logits would leave them.
        ReadOnlySpan<Candidate> kept = best[..Math.Min(parameters.TopK, needed)];
        foreach (Candidate candidate in kept)
            _sparseLogits[candidate.Index] = float.IsNaN(candidate.Value) ? float.NegativeInfinity : candidate.Value;
        bool isCut = needed > parameters.TopK && best[parameters.TopK].Value >= float.MinValue;
        TokenRank cut = isCut ? TokenRank.Of(kept[^1].Value, kept[^1].Index) : TokenRank.KeepAll;
        int chosen = Draw(_sparseLogits, cut, max, parameters, CounterRandom.UniformDouble(parameters.Seed, (ulong)index));
        foreach (Candidate candidate in kept)
            _sparseLogits[candidate.Index] = float.NegativeInfinity;
        token = new TokenLogProb(chosen, 0);
        return true;
    }

    /// <summary>Chooses a token.</summary>
    /// <param name="logits">The model's logits [vocabulary]; overwritten.</param>
    /// <param name="parameters">How to choose; values as <see cref="SamplingParameters.Validate"/> accepts them.</param>
    /// <param name="history">All tokens of the sequence so far, the prompt first.</param>
    /// <param name="promptLength">How many of them are the prompt.</param>
    /// <param name="index">The token's number within the answer: with the seed, the key of its random number.</param>
    /// <param name="top">Receives the likeliest tokens, best first: room for <see cref="SamplingParameters.TopLogProbs"/>.</param>
    /// <param name="topCount">How many it received; fewer than asked for only if fewer tokens have a probability at all.</param>
    /// <returns>The token, with its log-probability under the model if log-probabilities were asked for.</returns>
    /// <exception cref="ArgumentException">A length, an index or a token id does not fit the vocabulary or the parameters.</exception>
    /// <exception cref="InvalidOperationException">No logit is a number above minus infinity: there is nothing to choose.</exception>
    public TokenLogProb Sample(
        Span<float> logits, SamplingParameters parameters, ReadOnlySpan<int> history, int promptLength, int index,
        Span<TokenLogProb> top, out int topCount)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfNegative(promptLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(promptLength, history.Length);
        if (logits.Length != _vocabularySize)
            throw new ArgumentException($"{logits.Length} logits for a vocabulary of {_vocabularySize} tokens", nameof(logits));

        float max = MaxOf(logits);
        bool isAdjusted = LogitAdjustment.IsNeeded(parameters);
        bool isReported = parameters.TopLogProbs is not null;
        double normalizer = 0;
        topCount = 0;
        if (isReported)
        {
            normalizer = max + Math.Log(_draw.Sum(logits, TokenRank.KeepAll, max, 1));
            topCount = ReportTop(logits, normalizer, parameters.TopLogProbs!.Value, top);
            if (isAdjusted)
                logits.CopyTo(_modelLogits);
        }

        if (isAdjusted)
        {
            _adjustment.Apply(logits, parameters, history, promptLength);
            max = MaxOf(logits);
        }

        int token = parameters.Temperature == 0
            ? LogitScan.NextAtLeast(logits, 0, max)
            : Draw(logits, CutOfTopK(logits, parameters), max, parameters, CounterRandom.UniformDouble(parameters.Seed, (ulong)index));
        float modelLogit = isAdjusted ? _modelLogits[token] : logits[token];
        return new TokenLogProb(token, isReported ? LogProb(modelLogit, normalizer) : 0);
    }

    private static float MaxOf(Span<float> logits)
    {
        float max = LogitScan.Sanitize(logits);
        return float.IsNegativeInfinity(max)
            ? throw new InvalidOperationException(
                $"all {logits.Length} logits are NaN or minus infinity, so that no token can be chosen: "
                + "the model's weights or its activations are broken")
            : max;
    }

    private static float LogProb(float logit, double normalizer) => (float)Math.Max(logit - normalizer, float.MinValue);

    private int ReportTop(ReadOnlySpan<float> logits, double normalizer, int count, Span<TokenLogProb> top)
    {
        if (count > SamplingParameters.MaxTopLogProbs || count > top.Length)
        {
            throw new ArgumentException(
                $"{count} log-probabilities asked for, with room for {top.Length} and a limit of {SamplingParameters.MaxTopLogProbs}",
                nameof(top));
        }

        Span<TokenRank> ranks = stackalloc TokenRank[Math.Min(count, logits.Length)];
        int found = _candidates.Best(logits, ranks);
        for (int i = 0; i < found; i++)
            top[i] = new TokenLogProb(ranks[i].Token, LogProb(ranks[i].Logit, normalizer));
        return found;
    }

    private TokenRank CutOfTopK(ReadOnlySpan<float> logits, SamplingParameters parameters) =>
        parameters.TopK > 0 && parameters.TopK < _vocabularySize ? _candidates.CutAfter(logits, parameters.TopK) : TokenRank.KeepAll;

    private int Draw(ReadOnlySpan<float> logits, TokenRank cut, float max, SamplingParameters parameters, double uniform)
    {
        double inverseTemperature = 1.0 / parameters.Temperature;
        if (parameters.MinP > 0)
            cut = TokenRank.Stricter(cut, TokenRank.AtLeast(LogitOfRelativeProbability(parameters.MinP, max, parameters.Temperature)));

        double total = _draw.Sum(logits, cut, max, inverseTemperature);
        if (parameters.TopP < 1)
        {
            cut = _candidates.CutAtMass(logits, cut, parameters.TopP, total, max, inverseTemperature);
            total = _draw.Sum(logits, cut, max, inverseTemperature);
        }

        return _draw.Draw(logits, cut, max, inverseTemperature, uniform * total);
    }

    /// <summary>The smallest logit of a token that is at least <paramref name="fraction"/> as likely as the likeliest.</summary>
    private static float LogitOfRelativeProbability(double fraction, double max, double temperature)
    {
        double exact = max + (temperature * Math.Log(fraction));
        float nearest = (float)exact;
        return nearest < exact ? MathF.BitIncrement(nearest) : nearest;
    }
}
