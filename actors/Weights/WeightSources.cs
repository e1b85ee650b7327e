using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Weights;

/// <summary>The nodes that have the model's files, as this node knows them now. For any thread.</summary>
public sealed class WeightSources
{
    private volatile IReadOnlyList<WeightMessages.WeightSource> _present = [];

    /// <summary>Nodes that have the files: stage nodes first, since gateways have requests to serve.</summary>
    public IReadOnlyList<WeightMessages.WeightSource> Present => _present;

    internal void Set(IEnumerable<WeightMessages.WeightSource> sources) =>
        _present = [.. sources.OrderBy(source => source.IsGateway).ThenBy(source => source.Node, StringComparer.Ordinal)];
}
