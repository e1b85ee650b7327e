using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Text;

/// <summary>A generation that was refused or broke off.</summary>
internal sealed class GenerationFailedException(GenerationEvent.Failed failure) : Exception(failure.Message)
{
    /// <summary>The service's own account of it.</summary>
    public GenerationEvent.Failed Failure { get; } = failure;
}
