namespace Llama3Cluster.Actors.Inference;

/// <summary>What the endpoints use of the cluster. Safe to use from several threads.</summary>
public interface IInferenceService
{
    /// <summary>The model that is served.</summary>
    ServedModel Model { get; }

    /// <summary>
    /// Starts an answer and yields what happens to it. The first event is <see cref="GenerationEvent.Started"/> or
    /// <see cref="GenerationEvent.Failed"/>. Ending the enumeration early, by cancellation or by disposing the enumerator, stops
    /// the generation and frees its KV blocks; it is forgotten unless it is <see cref="GenerationRequest.Resumable"/>.
    /// </summary>
    IAsyncEnumerable<GenerationEvent> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken);

    /// <summary>
    /// Yields what happens to an answer that was started before, on this gateway or another one, from its first token on. Whoever
    /// read it until now is told that it was taken over.
    /// </summary>
    /// <param name="id">The id of its request.</param>
    /// <param name="owner">Its owner; <see cref="FailureCode.NotFound"/> if it is another one's.</param>
    /// <param name="cancellationToken">Ends the reading, as in <see cref="GenerateAsync"/>.</param>
    IAsyncEnumerable<GenerationEvent> ResumeAsync(string id, string owner, CancellationToken cancellationToken);

    /// <summary>The cluster as this gateway sees it.</summary>
    Task<ClusterSnapshot> GetSnapshotAsync(CancellationToken cancellationToken);
}

/// <summary>The model that a cluster serves.</summary>
/// <param name="Name">Its id in the APIs.</param>
/// <param name="ContextLength">Positions of prompt and answer together.</param>
/// <param name="Fingerprint">The hash that all nodes must share.</param>
/// <param name="Created">When the file was last written.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record ServedModel(string Name, int ContextLength, string Fingerprint, DateTimeOffset Created, ITokenizer Tokenizer);
