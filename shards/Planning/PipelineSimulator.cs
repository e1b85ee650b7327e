namespace Llama3Cluster.Shards.Planning;

/// <summary>A link between two nodes, as the simulator assumes it. Stages on one node hand activations over in memory.</summary>
/// <param name="LatencySeconds">Seconds until the first byte arrives.</param>
/// <param name="BytesPerSecond">Bytes a second after that.</param>
public readonly record struct LinkAssumption(double LatencySeconds, double BytesPerSecond)
{
    /// <summary>A link that takes no time.</summary>
    public static LinkAssumption None => new(0, double.PositiveInfinity);

    /// <summary>Seconds for so many bytes.</summary>
    public double Seconds(double bytes) => LatencySeconds + (bytes / BytesPerSecond);
}

/// <summary>What the simulator predicts.</summary>
/// <param name="TokensPerSecond">Decode rate over all streams.</param>
/// <param name="StreamTokensPerSecond">Decode rate of one stream.</param>
/// <param name="BusyShare">Share of the time in which the slowest stage works: 1 when the pipeline is full.</param>
/// <param name="DrainBubble">
/// Share of the time that stages idle when the micro-batches pass once and the pipeline drains, as the chunks of a lone prompt do.
/// </param>
public sealed record PipelinePrediction(double TokensPerSecond, double StreamTokensPerSecond, double BusyShare, double DrainBubble);

/// <summary>
/// Predicts the rate of a planned replica from the times of its stages and links. Arithmetic, not a measurement: a stage takes the
/// time to read its weights once, whatever the size of the micro-batch, so it holds for small micro-batches only.
/// </summary>
/// <remarks>
/// With D stages and N micro-batches that pass through once, the stages stand idle for (D - 1) / (D - 1 + N) of the time (Huang et
/// al., GPipe, 2019). Decoding does not drain: a micro-batch starts its next token when the last one has been sampled. Its round
/// then takes the longer of one trip through all stages and links, and N turns at the slowest stage; from about N = D on the
/// pipeline is full.
/// </remarks>
public static class PipelineSimulator
{
    /// <summary>Predicts the decode rate.</summary>
    /// <param name="replica">The planned replica.</param>
    /// <param name="activationBytesPerToken">Bytes of a row between stages: <see cref="ModelProfile.ActivationBytesPerToken"/>.</param>
    /// <param name="link">The links between stages on different nodes, and from the last stage to the first.</param>
    /// <param name="streams">Sequences that decode at the same time.</param>
    /// <param name="microBatches">Micro-batches in flight, over which the streams are spread; at most one a stream.</param>
    /// <exception cref="ArgumentException">
    /// A count is below 1, a latency negative, a bandwidth not positive, or the replica has no stages.
    /// </exception>
    public static PipelinePrediction Predict(
        PlannedReplica replica, long activationBytesPerToken, LinkAssumption link, int streams, int microBatches)
    {
        ArgumentNullException.ThrowIfNull(replica);
        ArgumentOutOfRangeException.ThrowIfNegative(activationBytesPerToken);
        ArgumentOutOfRangeException.ThrowIfLessThan(streams, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(microBatches, 1);
        if (replica.Stages.Count == 0)
            throw new ArgumentException("the replica has no stages", nameof(replica));
        if (!(link.LatencySeconds >= 0 && link.BytesPerSecond > 0))
            throw new ArgumentException($"a link of {link.LatencySeconds} s and {link.BytesPerSecond} bytes/s", nameof(link));

        int stages = replica.Stages.Count, batches = Math.Min(microBatches, streams);
        double slowest = replica.Stages.Max(stage => stage.StepSeconds);
        double trip = replica.Stages.Sum(stage => stage.StepSeconds);
        double rows = (double)streams / batches;
        for (int stage = 1; stage < stages; stage++)
        {
            if (replica.Stages[stage].Node != replica.Stages[stage - 1].Node)
                trip += link.Seconds(rows * activationBytesPerToken);
        }

        // The sampled tokens go back in a frame of a few bytes a row: its latency is all that counts.
        if (replica.Stages[^1].Node != replica.Stages[0].Node)
            trip += link.LatencySeconds;

        double round = Math.Max(trip, batches * slowest);
        return new PipelinePrediction(streams / round, 1 / round, batches * slowest / round, (stages - 1.0) / (stages - 1 + batches));
    }
}
