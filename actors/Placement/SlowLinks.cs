using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// Which links between nodes are slow enough for placement to mind, from what the nodes have measured. What was taken once stands until a
/// measurement clearly differs, so that the plan does not follow the noise of measuring. Pure.
/// </summary>
internal sealed class SlowLinks
{
    // Less is little beside the time of a step, and what busy nodes of one network measure of each other.
    private const double Near = 5e-3;

    private const double Different = 1.5;

    private readonly Dictionary<(string From, string To), double> _measured = [];
    private readonly Dictionary<(string Node, string Other), double> _slow = [];

    /// <summary>The slow links as they count now.</summary>
    public PlannerLinks Now { get; private set; } = PlannerLinks.None;

    /// <summary>Takes what a node has measured.</summary>
    /// <param name="node">The node.</param>
    /// <param name="paths">Its ways to other nodes that there are.</param>
    /// <returns>What changes by that, in sentences; nothing as a rule.</returns>
    public IReadOnlyList<string> Take(string node, IEnumerable<StageMessages.PathReport> paths)
    {
        var changes = new List<string>();
        foreach (StageMessages.PathReport path in paths)
        {
            if (path.Node == node || !(path.Seconds >= 0 && double.IsFinite(path.Seconds)))
                continue; // another process says it: it is checked
            _measured[(node, path.Node)] = path.Seconds;
            if (Change(node, path.Node) is { } change)
                changes.Add(change);
        }

        if (changes.Count > 0)
            List();
        return changes;
    }

    /// <summary>Forgets the links of a node that is gone.</summary>
    public void Forget(string node)
    {
        foreach (var way in _measured.Keys.Where(way => way.From == node || way.To == node).ToList())
            _measured.Remove(way);
        foreach (var link in _slow.Keys.Where(link => link.Node == node || link.Other == node).ToList())
            _slow.Remove(link);
        List();
    }

    // Either node measures there and back: the lesser of the two was delayed less by other things.
    private string? Change(string node, string other)
    {
        double seconds = Math.Min(_measured[(node, other)], _measured.GetValueOrDefault((other, node), double.PositiveInfinity));
        var link = string.CompareOrdinal(node, other) < 0 ? (node, other) : (other, node);
        bool isSlow = _slow.TryGetValue(link, out double known);
        if (isSlow ? seconds < known * Different && seconds > known / Different : seconds < Near)
            return null;
        string took = $"activations take {1000 * seconds:0.0} ms between {link.Item1} and {link.Item2}";
        if (seconds < Near)
        {
            _slow.Remove(link);
            return $"{took}: the link is not slow any more";
        }

        _slow[link] = seconds;
        return $"{took}: the link counts as slow";
    }

    private void List() => Now = new PlannerLinks(_slow.Select(link => new PlannerLink(link.Key.Node, link.Key.Other, link.Value)));
}
