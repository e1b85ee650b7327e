using Akka.Actor;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>Who receives at which address. Shared by a listener and the threads that run its handshakes.</summary>
internal sealed class LinkRegistry
{
    private readonly Lock _lock = new();
    private readonly Dictionary<LinkAddress, Entry> _entries = [];

    /// <summary>Registers a receiver at an address that is not registered.</summary>
    public void Add(LinkAddress address, IActorRef receiver)
    {
        lock (_lock)
        {
            _entries.Add(address, new Entry(receiver));
        }
    }

    /// <summary>Forgets an address.</summary>
    public void Remove(LinkAddress address)
    {
        lock (_lock)
        {
            _entries.Remove(address);
        }
    }

    /// <summary>The receiver of an address; null if nobody is registered there.</summary>
    public IActorRef? ReceiverOf(LinkAddress address)
    {
        lock (_lock)
        {
            return _entries.GetValueOrDefault(address)?.Receiver;
        }
    }

    /// <summary>The addresses of a receiver.</summary>
    public IReadOnlyList<LinkAddress> AddressesOf(IActorRef receiver)
    {
        lock (_lock)
        {
            return [.. _entries.Where(entry => entry.Value.Receiver.Equals(receiver)).Select(entry => entry.Key)];
        }
    }

    /// <summary>Takes the receiver of an address for a link; a receiver has one link at a time.</summary>
    /// <exception cref="LinkRefusedException">Nobody is registered, or it has a link.</exception>
    public Claim Take(LinkAddress address)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(address, out Entry? entry))
                throw new LinkRefusedException(RefusalCode.NotRegistered, $"nobody receives for {address} on this node (yet)");
            if (entry.Taken)
                throw new LinkRefusedException(RefusalCode.Linked, $"{address} has a link already");
            entry.Taken = true;
            return new Claim(this, entry);
        }
    }

    internal sealed class Entry(IActorRef receiver)
    {
        public IActorRef Receiver { get; } = receiver;

        public bool Taken { get; set; }
    }

    /// <summary>A receiver that a link has taken.</summary>
    internal sealed class Claim(LinkRegistry registry, Entry entry)
    {
        /// <summary>Who receives.</summary>
        public IActorRef Receiver => entry.Receiver;

        /// <summary>Lets the next link have the receiver.</summary>
        public void Free()
        {
            lock (registry._lock)
            {
                entry.Taken = false;
            }
        }
    }
}
