namespace Llama3Cluster.Shards.Planning;

/// <summary>A link between two nodes that is slow enough for a plan to mind.</summary>
/// <param name="Node">One node.</param>
/// <param name="Other">The other node.</param>
/// <param name="Seconds">Seconds that the activations of a step take from one to the other; the same in both directions.</param>
public sealed record PlannerLink(string Node, string Other, double Seconds);

/// <summary>The slow links of a cluster. All that are not listed take no time, as far as a plan is concerned.</summary>
public sealed class PlannerLinks
{
    /// <summary>A cluster without slow links.</summary>
    public static readonly PlannerLinks None = new([]);

    private readonly Dictionary<(string, string), double> _seconds = [];

    /// <summary>Lists the slow links.</summary>
    /// <exception cref="ArgumentException">A link leads from a node to itself, is listed twice, or takes no time, or no finite one.</exception>
    public PlannerLinks(IEnumerable<PlannerLink> links)
    {
        ArgumentNullException.ThrowIfNull(links);
        foreach (PlannerLink link in links)
        {
            if (link.Node == link.Other || !(link.Seconds > 0 && double.IsFinite(link.Seconds)))
                throw new ArgumentException($"a link from {link.Node} to {link.Other} that takes {link.Seconds} s", nameof(links));
            if (!_seconds.TryAdd(Key(link.Node, link.Other), link.Seconds))
                throw new ArgumentException($"the link between {link.Node} and {link.Other} is listed twice", nameof(links));
        }
    }

    /// <summary>Seconds from one node to another; 0 where no slow link is listed.</summary>
    public double Seconds(string node, string other) => _seconds.GetValueOrDefault(Key(node, other));

    /// <summary>
    /// Seconds that a step spends between the nodes of a pipeline, the way of its tokens from the last stage back to the first included:
    /// the next step waits for them.
    /// </summary>
    /// <param name="nodes">The node of each stage.</param>
    public double RoundSeconds(IReadOnlyList<string> nodes)
    {
        double seconds = 0;
        for (int stage = 0; stage < nodes.Count; stage++)
            seconds += Seconds(nodes[stage], nodes[(stage + 1) % nodes.Count]);
        return seconds;
    }

    /// <summary>
    /// The site of each node: nodes are on one site when a chain of links that are not slow connects them. A site is named after the
    /// first of its nodes.
    /// </summary>
    public IReadOnlyDictionary<string, string> SitesOf(IEnumerable<string> nodes)
    {
        var left = new SortedSet<string>(nodes, StringComparer.Ordinal);
        var sites = new Dictionary<string, string>();
        while (left.Min is { } first)
        {
            var reached = new Queue<string>([first]);
            left.Remove(first);
            while (reached.TryDequeue(out string? node))
            {
                sites[node] = first;
                List<string> near = [.. left.Where(other => Seconds(node, other) == 0)];
                left.ExceptWith(near);
                near.ForEach(reached.Enqueue);
            }
        }

        return sites;
    }

    private static (string, string) Key(string node, string other) =>
        string.CompareOrdinal(node, other) < 0 ? (node, other) : (other, node);
}
