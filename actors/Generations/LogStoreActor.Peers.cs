using System.Text;
using Akka.Actor;
using Akka.Cluster;
using Llama3Cluster.Actors.Hosting;
using Microsoft.Extensions.Logging;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <content>The other gateways: which one keeps the copy of which log.</content>
public sealed partial class LogStoreActor
{
    private void OnMembership()
    {
        var present = new Dictionary<string, UniqueAddress>();
        foreach (Member member in _members.All.Where(member => member.HasRole(ClusterNode.GatewayRole) && member.Status == MemberStatus.Up
            && !_members.IsUnreachable(member) && member.UniqueAddress != _cluster.SelfUniqueAddress))
        {
            present[NodeContext.AddressOf(member.Address)] = member.UniqueAddress;
        }

        foreach (string gone in _peers.Where(peer => present.GetValueOrDefault(peer.Key)?.Uid != peer.Value.Uid).Select(peer => peer.Key).ToList())
        {
            _peers.Remove(gone, out Peer? peer);
            foreach (OwnLog own in _own.Values.Where(own => own.Channel == peer!.Channel))
                AssignPeer(own);
        }

        foreach (string come in present.Keys.Except(_peers.Keys).ToList())
        {
            _peers.Add(come, new Peer(
                present[come].Uid, new LogChannel(_store), Context.ActorSelection(new RootActorPath(present[come].Address) / "user" / ActorName)));
            foreach (OwnLog own in _own.Values.Where(own => own.Channel is null))
                AssignPeer(own);
            _log.LogInformation("gateway {Gateway} can keep copies of answers", come);
        }

        FlushSoon();
    }

    // By the largest hash of log and gateway: the logs of one gateway spread over all others, and few move when one goes.
    private void AssignPeer(OwnLog own)
    {
        if (_peers.Count == 0)
        {
            own.Channel = null;
            own.Opening++;
            Release(own);
            return;
        }

        string best = _peers.Keys.MaxBy(address => Hash(own.Log.Id, address))!;
        _peers[best].Channel.Assign(own);
    }

    private static ulong Hash(string id, string address)
    {
        ulong hash = 14695981039346656037;
        foreach (byte value in Encoding.UTF8.GetBytes(id + address))
            hash = (hash ^ value) * 1099511628211;
        return hash ^ (hash >> 31);
    }

    private void Send()
    {
        foreach (Peer peer in _peers.Values)
        {
            while (peer.Channel.Next(Now) is { } batch)
            {
                LogMetrics.Batches.Add(1);
                LogMetrics.Replicated.Add(batch.Tokens.Length);
                peer.Store.Tell(batch, Self);
            }

            if (peer.Channel.IsWaiting && !Timers.IsTimerActive("tick"))
                Timers.StartPeriodicTimer("tick", Tick.Instance, TickInterval);
        }
    }

    private void Acknowledge(LogAck ack)
    {
        if (ack.Store != _store || !_peers.TryGetValue(NodeContext.AddressOf(Sender.Path.Address), out Peer? peer))
            return;
        peer.Channel.Acknowledge(ack, Now, _changed);
        foreach (long number in ack.Missing)
        {
            if (_ownByNumber.TryGetValue(number, out OwnLog? own) && own.Channel == peer.Channel)
                peer.Channel.Reopen(own);
        }

        foreach (OwnLog own in _changed)
            Release(own);
        _changed.Clear();
        Send();
    }

    private void OnTick()
    {
        bool waiting = false;
        foreach ((string address, Peer peer) in _peers)
        {
            if (peer.Channel.Tick(Now))
            {
                _log.LogWarning("gateway {Gateway} is {State}: answers go on without a copy there", address, peer.Channel.IsGone ? "gone" : "late");
                foreach (OwnLog own in _own.Values.Where(own => own.Channel == peer.Channel))
                    Release(own);
            }

            waiting |= peer.Channel.IsWaiting;
        }

        Send();
        if (!waiting)
            Timers.Cancel("tick");
    }

    private void Take(LogBatch batch)
    {
        string owner = NodeContext.AddressOf(Sender.Path.Address);
        if (batch.Sequence == 1)
            Orphan(owner); // it did not see this gateway for a while: what it still needs here, it opens again
        foreach (LogOpening opening in batch.Opened)
            _orphans.Remove(opening.Request.GenerationId);
        Sender.Tell(_held.Take(batch, owner));
    }

    // Nobody closes these logs any more: they are kept until somebody asks for them, or their time is up.
    private void Orphan(string gateway)
    {
        long now = Now;
        foreach ((string id, int tokens) in _held.Of(gateway))
            _orphans.Add(id, tokens, now);
        if (_orphans.Count > 0)
            ForgetLater();
    }

    private sealed record Peer(int Uid, LogChannel Channel, ActorSelection Store);
}
