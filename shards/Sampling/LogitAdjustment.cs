namespace Llama3Cluster.Shards.Sampling;

/// <summary>Adds the logit bias and applies the penalties for tokens that the sequence already has.</summary>
internal sealed class LogitAdjustment(int vocabularySize)
{
    // For each token 0 if the sequence lacks it, else 1 + the times that the answer has it. All 0 between calls.
    private readonly int[] _seen = new int[vocabularySize];

    /// <summary>Whether the parameters change any logit.</summary>
    public static bool IsNeeded(SamplingParameters parameters) => parameters.Bias.Count > 0 || HasPenalties(parameters);

    /// <summary>
    /// Changes the logits in place: bias, then <c>l / r</c> or <c>l * r</c> by the sign of the logit (Keskar et al., CTRL, 2019) for
    /// tokens of prompt or answer, then <c>l - frequency * times - presence</c> for tokens of the answer (OpenAI).
    /// </summary>
    public void Apply(Span<float> logits, SamplingParameters parameters, ReadOnlySpan<int> history, int promptLength)
    {
        foreach (var (token, bias) in parameters.Bias)
            logits[Checked(token, "logit_bias")] += bias;
        if (!HasPenalties(parameters))
            return;

        foreach (int token in history)
            _ = Checked(token, "the history");
        foreach (int token in history[..promptLength])
            _seen[token] = 1;
        foreach (int token in history[promptLength..])
            _seen[token] = Math.Max(_seen[token], 1) + 1;

        foreach (int token in history)
        {
            int seen = _seen[token];
            if (seen == 0)
                continue; // an earlier occurrence was penalized for all of them
            _seen[token] = 0;
            float logit = logits[token];
            logit = logit > 0 ? logit / parameters.RepetitionPenalty : logit * parameters.RepetitionPenalty;
            int times = seen - 1;
            if (times > 0)
                logit -= (parameters.FrequencyPenalty * times) + parameters.PresencePenalty;
            logits[token] = logit;
        }
    }

    private static bool HasPenalties(SamplingParameters parameters) =>
        parameters.RepetitionPenalty != 1 || parameters.FrequencyPenalty != 0 || parameters.PresencePenalty != 0;

    private int Checked(int token, string source) => (uint)token < (uint)_seen.Length
        ? token
        : throw new ArgumentException($"{source} has token {token}, but the vocabulary's tokens are 0 to {_seen.Length - 1}");
}
