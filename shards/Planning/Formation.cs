namespace Llama3Cluster.Shards.Planning;

/// <summary>Pipelines formed from a cluster's devices, and the devices that are left.</summary>
internal sealed record Formation(IReadOnlyList<Pipeline> Pipelines, IReadOnlyList<PlannerDevice> Spares)
{
    // Rates this close are equal: fewer stages and fewer links are then worth more.
    private const double SimilarRate = 1.01;

    private double TokensPerSecond => Pipelines.Sum(pipeline => 1 / pipeline.TokenSeconds);

    private int Stages => Pipelines.Sum(pipeline => pipeline.Devices.Length);

    private int NodeCrossings => Pipelines.Sum(pipeline => pipeline.NodeCrossings);

    /// <summary>Whether it is better: by replicas, then the sum of their rates, then fewer stages, then fewer borders between nodes.</summary>
    public bool IsBetterThan(Formation other)
    {
        if (Pipelines.Count != other.Pipelines.Count)
            return Pipelines.Count > other.Pipelines.Count;
        if (TokensPerSecond > SimilarRate * other.TokensPerSecond || other.TokensPerSecond > SimilarRate * TokensPerSecond)
            return TokensPerSecond > other.TokensPerSecond;
        return Stages != other.Stages ? Stages < other.Stages : NodeCrossings < other.NodeCrossings;
    }
}
