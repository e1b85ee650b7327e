namespace Llama3Cluster.Actors.Gateways;

/// <summary>
/// Remembers which replica was last given a prompt that begins with the same blocks of 16 tokens, so that the next such prompt
/// finds its keys and values there. Approximate and bounded: a wrong guess costs a prefill, nothing more.
/// </summary>
internal sealed class PrefixDirectory(int capacity)
{
    private const int BlockTokens = 16;

    private readonly Dictionary<long, LinkedListNode<(long Prefix, string Replica)>> _byPrefix = [];
    private readonly LinkedList<(long Prefix, string Replica)> _byAge = new();

    /// <summary>The replica that knows most of the prompt's blocks, and how many; null when none is known.</summary>
    public (string Replica, int Blocks)? Find(IReadOnlyList<int> prompt)
    {
        (string, int)? best = null;
        int blocks = 0;
        foreach (long prefix in Prefixes(prompt))
        {
            if (!_byPrefix.TryGetValue(prefix, out var node))
                break;
            best = (node.Value.Replica, ++blocks);
        }

        return best;
    }

    /// <summary>Notes that a prompt went to a replica.</summary>
    public void Note(IReadOnlyList<int> prompt, string replica)
    {
        foreach (long prefix in Prefixes(prompt))
        {
            if (_byPrefix.Remove(prefix, out var known))
                _byAge.Remove(known);
            _byPrefix[prefix] = _byAge.AddLast((prefix, replica));
            if (_byPrefix.Count <= capacity)
                continue;
            _byPrefix.Remove(_byAge.First!.Value.Prefix);
            _byAge.RemoveFirst();
        }
    }

    private static IEnumerable<long> Prefixes(IReadOnlyList<int> prompt)
    {
        ulong hash = 14695981039346656037; // FNV-1a over whole tokens
        for (int i = 0; i < prompt.Count; i++)
        {
            hash = (hash ^ (uint)prompt[i]) * 1099511628211;
            if ((i + 1) % BlockTokens == 0)
                yield return (long)hash;
        }
    }
}
