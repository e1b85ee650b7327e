using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Shards.Tests.Sampling;

/// <summary>The sampler's specification: doubles, a full sort, one obvious step after another.</summary>
internal static class SamplerReference
{
    /// <summary>The probability of every token after all steps; 0 for those that are filtered out.</summary>
    public static double[] Distribution(float[] logits, SamplingParameters parameters, int[] history, int promptLength)
    {
        double[] adjusted = Adjusted(logits, parameters, history, promptLength);
        int[] order = [.. Enumerable.Range(0, logits.Length).Where(t => adjusted[t] > double.NegativeInfinity)
            .OrderByDescending(t => adjusted[t]).ThenBy(t => t)];
        if (parameters.Temperature == 0)
            return Normalized(logits.Length, [order[0]], _ => 1);

        double Weight(int token) => Math.Exp((adjusted[token] - adjusted[order[0]]) / parameters.Temperature);
        IEnumerable<int> kept = parameters.TopK > 0 ? order.Take(parameters.TopK) : order;
        kept = kept.Where(t => Weight(t) >= parameters.MinP);
        double[] probabilities = Normalized(logits.Length, [.. kept], Weight);
        if (parameters.TopP == 1)
            return probabilities;

        double sum = 0;
        kept = kept.TakeWhile(t =>
        {
            bool isNeeded = sum < parameters.TopP;
            sum += probabilities[t];
            return isNeeded;
        });
        return Normalized(logits.Length, [.. kept], Weight);
    }

    /// <summary>Inverts the cumulative distribution in the order of ids; null when rounding could decide either way.</summary>
    public static int? Draw(double[] probabilities, double uniform)
    {
        double sum = 0;
        for (int token = 0; token < probabilities.Length; token++)
        {
            sum += probabilities[token];
            if (probabilities[token] > 0 && Math.Abs(uniform - sum) < 1e-10)
                return null;
            if (uniform < sum)
                return token;
        }

        return null;
    }

    /// <summary>The log-softmax of the model's own logits.</summary>
    public static double[] LogProbs(float[] logits)
    {
        double max = logits.Where(l => !float.IsNaN(l)).Max();
        double sum = logits.Where(l => !float.IsNaN(l)).Sum(l => Math.Exp(l - max));
        return [.. logits.Select(l => l - max - Math.Log(sum))];
    }

    /// <summary>Logits like those of a model: a normal body and a few tokens that stand out.</summary>
    public static float[] RandomLogits(Random random, int vocabulary, double spread = 3)
    {
        var logits = new float[vocabulary];
        for (int i = 0; i < vocabulary; i++)
            logits[i] = (float)(spread * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble()));
        for (int i = 0; i < 5; i++)
            logits[random.Next(vocabulary)] += 4;
        return logits;
    }

    private static double[] Adjusted(float[] logits, SamplingParameters parameters, int[] history, int promptLength)
    {
        double[] adjusted = [.. logits.Select(l => float.IsNaN(l) ? double.NegativeInfinity : l)];
        foreach (var (token, bias) in parameters.LogitBias)
            adjusted[token] += bias;
        foreach (int token in history.Distinct())
            adjusted[token] = adjusted[token] > 0 ? adjusted[token] / parameters.RepetitionPenalty : adjusted[token] * parameters.RepetitionPenalty;
        foreach (var answered in history.Skip(promptLength).GroupBy(t => t))
            adjusted[answered.Key] -= (parameters.FrequencyPenalty * answered.Count()) + parameters.PresencePenalty;
        return adjusted;
    }

    private static double[] Normalized(int vocabulary, int[] kept, Func<int, double> weight)
    {
        var probabilities = new double[vocabulary];
        double total = kept.Sum(weight);
        foreach (int token in kept)
            probabilities[token] = weight(token) / total;
        return probabilities;
    }
}
