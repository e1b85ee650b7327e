namespace Llama3Cluster.Actors.Generations;

/// <summary>How long, and how many, answers are kept that nobody listens to.</summary>
/// <param name="Time">How long one is kept.</param>
/// <param name="Logs">Most that are kept.</param>
/// <param name="Tokens">Most tokens, of prompts and answers together, that are kept.</param>
public sealed record RetentionLimits(TimeSpan Time, int Logs = 16_384, long Tokens = 32_000_000)
{
    /// <summary>Two minutes.</summary>
    public static readonly RetentionLimits Default = new(TimeSpan.FromMinutes(2));
}

/// <summary>The logs that nobody listens to, oldest first. Knows no clock.</summary>
internal sealed class Retention(RetentionLimits limits)
{
    private readonly LinkedList<(string Id, long Since, int Tokens)> _byAge = new();
    private readonly Dictionary<string, LinkedListNode<(string Id, long Since, int Tokens)>> _byId = [];
    private long _tokens;

    public int Count => _byId.Count;

    /// <summary>A log's time begins; anew, if it had begun.</summary>
    public void Add(string id, int tokens, long now)
    {
        Remove(id);
        _byId.Add(id, _byAge.AddLast((id, now, tokens)));
        _tokens += tokens;
    }

    /// <summary>Whether a log's time has begun.</summary>
    public bool Contains(string id) => _byId.ContainsKey(id);

    /// <summary>Somebody listens again, or the log is gone.</summary>
    public void Remove(string id)
    {
        if (!_byId.Remove(id, out var node))
            return;
        _byAge.Remove(node);
        _tokens -= node.Value.Tokens;
    }

    /// <summary>Takes out a log that must be forgotten.</summary>
    public bool TryTakeExpired(long now, out string id)
    {
        id = "";
        if (_byAge.First is not { } oldest)
            return false;
        bool expired = now - oldest.Value.Since > limits.Time.TotalMilliseconds || _byId.Count > limits.Logs || _tokens > limits.Tokens;
        if (!expired)
            return false;
        id = oldest.Value.Id;
        Remove(id);
        return true;
    }
}
