namespace Llama3Cluster.Shards.Planning;

/// <summary>Which devices are near each other: on one node, or on nodes of one site.</summary>
internal sealed class Neighbours(IEnumerable<PlannerDevice> devices, PlannerLinks links)
{
    private readonly IReadOnlyDictionary<string, string> _sites = links.SitesOf(devices.Select(device => device.Node));

    /// <summary>The slow links.</summary>
    public PlannerLinks Links => links;

    /// <summary>Sorts devices so that those of a site, and among them those of a node, follow each other.</summary>
    public List<PlannerDevice> Together(IEnumerable<PlannerDevice> members) => [.. members
        .OrderBy(device => _sites[device.Node], StringComparer.Ordinal)
        .ThenBy(device => device.Node, StringComparer.Ordinal)
        .ThenBy(device => device.Index)];

    /// <summary>Seconds that a step spends on slow links if the devices form a pipeline in this order.</summary>
    public double RoundSeconds(IReadOnlyList<PlannerDevice> order) => links.RoundSeconds([.. order.Select(device => device.Node)]);
}
