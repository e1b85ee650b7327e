using System.Globalization;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Http.Endpoints;

/// <summary>Says why a cluster cannot serve. Everybody may read it, so it names no nodes.</summary>
internal static class Readiness
{
    public static string ReasonOf(ClusterSnapshot snapshot)
    {
        if (snapshot.Replicas.Count == 0)
            return $"No pipeline is planned over the {snapshot.Nodes.Count} nodes of the cluster.";
        if (snapshot.Replicas.FirstOrDefault(replica => replica.State == "loading") is { } loading)
        {
            double loaded = loading.Stages.Count == 0 ? 0 : loading.Stages.Average(stage => stage.LoadedFraction);
            return string.Create(
                CultureInfo.InvariantCulture, $"Pipeline {loading.Id} is loading: {loaded * 100:F0} % of its weights are there.");
        }

        if (snapshot.Replicas.Any(replica => replica.State == "active"))
            return "No token has passed through a pipeline yet.";
        return $"No pipeline is active: {string.Join(", ", snapshot.Replicas.Select(item => $"{item.Id} is {item.State}"))}.";
    }
}
