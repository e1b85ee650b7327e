using Akka.Actor;
using Llama3Cluster.Actors.Hosting;
using Microsoft.Extensions.Logging;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <content>How a generation that begins to live on this gateway gets its log.</content>
public sealed partial class LogStoreActor
{
    /// <summary>Bytes of a log that goes to another gateway in one message.</summary>
    private const int SnapshotBytes = 500_000;

    private static readonly TimeSpan SearchTime = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, Search> _searches = [];

    private void Find(string id)
    {
        if (_own.TryGetValue(id, out OwnLog? own))
        {
            Give(own);
            return;
        }

        // A copy whose owner is gone is all that there is; one whose owner lives may be behind.
        GenerationLog? held = _held.Find(id) is { } copy ? copy.Log : null;
        if (_peers.Count == 0)
        {
            Conclude(id, Sender, held, certain: true);
            return;
        }

        _searches[id] = new Search(Sender, [.. _peers.Keys]) { Best = held };
        foreach (Peer peer in _peers.Values)
            peer.Store.Tell(new FindLog(id), Self);
        Timers.StartSingleTimer(id, new SearchTimedOut(id), SearchTime);
    }

    private void Heard(LogFound found)
    {
        if (!_searches.TryGetValue(found.GenerationId, out Search? search))
            return;
        if (found.Log is not null && (search.Best is null || found.Log.Tokens.Length + (found.Log.End is null ? 0 : 1) > search.Best.Units))
            search.Best = new GenerationLog(found.Log);
        search.Asked.Remove(NodeContext.AddressOf(Sender.Path.Address));
        if (search.Asked.Count == 0)
            GiveUp(found.GenerationId);
    }

    private void GiveUp(string id)
    {
        Timers.Cancel(id);
        if (_searches.Remove(id, out Search? search))
            Conclude(id, search.Generation, search.Best, search.Asked.Count == 0);
    }

    private void Conclude(string id, IActorRef generation, GenerationLog? log, bool certain)
    {
        if (log is null)
        {
            generation.Tell(new Recovered(null, certain));
            return;
        }

        _held.Remove(id);
        _orphans.Remove(id);
        LogMetrics.Recovered.Add(1);
        _log.LogInformation("{Generation} goes on here after {Tokens} tokens", id, log.Count);
        Give(Own(log), generation);
    }

    private void Give(OwnLog own) => Give(own, Sender);

    private void Give(OwnLog own, IActorRef generation)
    {
        _parked.Remove(own.Log.Id);
        own.Generation = generation;
        generation.Tell(new Recovered(own.Log.Snapshot(int.MaxValue), true));
        generation.Tell(new Released(own.Released));
        FlushSoon();
    }

    // Whoever asks becomes the owner, unless the generation lives here; this copy is the one that the new owner may need again.
    private void Answer(string id)
    {
        GenerationLog? log = null;
        if (_own.TryGetValue(id, out OwnLog? own))
        {
            log = own.Log;
            if (own.Generation is null)
            {
                Drop(own);
                _held.Keep(log, NodeContext.AddressOf(Sender.Path.Address));
                _orphans.Add(id, log.Request.Prompt.Length + log.Count, Now); // until the new owner opens it, if it does so here
                ForgetLater();
            }
        }
        else if (_held.Find(id) is { } copy)
        {
            log = copy.Log;
        }

        Sender.Tell(new LogFound(id, log?.Snapshot(SnapshotBytes)));
    }

    private sealed class Search(IActorRef generation, HashSet<string> asked)
    {
        public IActorRef Generation { get; } = generation;

        public HashSet<string> Asked { get; } = asked;

        public GenerationLog? Best { get; set; }
    }
}
