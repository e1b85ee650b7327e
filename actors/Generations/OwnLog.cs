using Akka.Actor;

namespace Llama3Cluster.Actors.Generations;

/// <summary>A log of this gateway, and how much of it the gateway that keeps its copy has.</summary>
internal sealed class OwnLog(GenerationLog log, long number)
{
    public GenerationLog Log { get; } = log;

    /// <summary>Its number in the batches.</summary>
    public long Number { get; } = number;

    /// <summary>The generation; null while nobody listens.</summary>
    public IActorRef? Generation { get; set; }

    /// <summary>The way to the gateway that keeps its copy; null when there is none.</summary>
    public LogChannel? Channel { get; set; }

    /// <summary>Counts the openings on a channel, so that acknowledgements of an earlier one are told apart.</summary>
    public int Opening { get; set; }

    /// <summary>Whether this opening has been sent.</summary>
    public bool IsOpened { get; set; }

    /// <summary>Units sent in this opening.</summary>
    public int Sent { get; set; }

    /// <summary>Units that the copy has for certain.</summary>
    public int Acked { get; set; }

    /// <summary>Whether the gateway that keeps the copy knows the request: from that alone all tokens can be made again.</summary>
    public bool IsKept { get; set; }

    /// <summary>Units that may be told to the client.</summary>
    public int Released { get; private set; }

    /// <summary>Whether it waits to be sent.</summary>
    public bool IsDirty { get; set; }

    /// <summary>
    /// Lets go what is copied; all when there is nobody to copy it, or when that one is late but has the request. For the request
    /// itself it waits longer: without it nothing could be made again.
    /// </summary>
    /// <returns>Tokens let go without the copy that there should be; -1 when nothing new is let go.</returns>
    public int Release()
    {
        int units = Channel is null or { IsGone: true } || (Channel.IsLagging && IsKept) ? Log.Units : Acked;
        if (units <= Released)
            return -1;
        int bare = Channel is null ? 0 : Math.Max(0, Math.Min(units, Log.Count) - Math.Max(Released, Acked));
        Released = units;
        return bare;
    }
}
