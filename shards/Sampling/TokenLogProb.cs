namespace Llama3Cluster.Shards.Sampling;

/// <summary>A token and the natural logarithm of its probability under the model (before temperature and filters).</summary>
/// <param name="Token">The token id.</param>
/// <param name="LogProb">Its log-probability; 0 when log-probabilities were not asked for.</param>
public readonly record struct TokenLogProb(int Token, float LogProb);
