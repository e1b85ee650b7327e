using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <summary>Copies of other gateways' logs. Takes batches in any order and any number of times. Knows no actors and no clock.</summary>
internal sealed class HeldLogs
{
    private readonly Dictionary<string, HeldLog> _byId = [];
    private readonly Dictionary<(long Store, long Number), HeldLog> _byNumber = [];

    public int Count => _byId.Count;

    /// <summary>Takes a batch.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="owner">Address of the gateway that it is from.</param>
    /// <returns>What to answer.</returns>
    public LogAck Take(LogBatch batch, string owner)
    {
        HashSet<long>? missing = null;
        foreach (LogOpening opening in batch.Opened)
            Open((batch.Store, opening.Number), opening, owner);
        foreach (ref readonly LogEntry entry in batch.Tokens.AsSpan())
        {
            if (!_byNumber.TryGetValue((batch.Store, entry.Number), out HeldLog? held) || !held.Log.TryPut(entry.Index, entry.Token))
                (missing ??= []).Add(entry.Number);
        }

        foreach (LogEnding ending in batch.Ended)
        {
            if (!_byNumber.TryGetValue((batch.Store, ending.Number), out HeldLog? held) || !held.Log.TryPutEnd(ending.Tokens, ending.End))
                (missing ??= []).Add(ending.Number);
        }

        foreach (long number in batch.Closed)
        {
            if (_byNumber.TryGetValue((batch.Store, number), out HeldLog? held))
                Remove(held.Log.Id);
        }

        return new LogAck(batch.Store, batch.Sequence, missing is null ? [] : [.. missing]);
    }

    /// <summary>Keeps a log whose owner is another gateway now; its next batch says under which number.</summary>
    public void Keep(GenerationLog log, string owner)
    {
        Remove(log.Id);
        _byId.Add(log.Id, new HeldLog(log, default, owner));
    }

    /// <summary>The copy of a generation's log and the gateway that owns it; null when there is none.</summary>
    public (GenerationLog Log, string Owner)? Find(string id) => _byId.TryGetValue(id, out HeldLog? held) ? (held.Log, held.Owner) : null;

    /// <summary>Forgets a copy.</summary>
    public void Remove(string id)
    {
        if (_byId.Remove(id, out HeldLog? held))
            _byNumber.Remove(held.Number);
    }

    /// <summary>The generations whose logs a gateway owns.</summary>
    public IEnumerable<(string Id, int Tokens)> Of(string owner) =>
        _byId.Values.Where(held => held.Owner == owner).Select(held => (held.Log.Id, held.Log.Request.Prompt.Length + held.Log.Count));

    private void Open((long Store, long Number) number, LogOpening opening, string owner)
    {
        string id = opening.Request.GenerationId;
        GenerationLog log = new(opening.Request);
        if (_byId.TryGetValue(id, out HeldLog? present))
        {
            // Another owner, or the same one after a loss. What is here stays until the owner tells it otherwise.
            log = present.Log;
            _byNumber.Remove(present.Number);
        }

        var held = new HeldLog(log, number, owner);
        _byId[id] = held;
        _byNumber[number] = held;
    }

    private sealed record HeldLog(GenerationLog Log, (long Store, long Number) Number, string Owner);
}
