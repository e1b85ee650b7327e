using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>The tokens that a step sampled, on their way from the last stage to the replica.</summary>
public sealed class SampledFrame : PooledFrame
{
    internal SampledFrame(FramePool pool)
        : base(pool)
    {
    }

    /// <summary>The tokens.</summary>
    public SampledTokens Tokens { get; } = new();

    private protected override void Recycle()
    {
        Tokens.Reset(0, 0);
        Pool.Return(this);
    }
}
