using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.Event;
using Akka.Remote;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// A failure detector that can be told. A cluster removes a member that is down only once some node cannot reach it, which heartbeats
/// alone would show after many seconds, although the process is known to have ended; until then nobody takes over what it did.
/// </summary>
/// <remarks>Named in hocon/cluster.conf; Akka makes one for each member.</remarks>
internal sealed class ProcessFailureDetector(Config config, EventStream events) : PhiAccrualFailureDetector(config, events)
{
    [ThreadStatic]
    private static bool _isEnd;

    private volatile bool _hasEnded;

    /// <inheritdoc/>
    public override bool IsAvailable => !_hasEnded && base.IsAvailable;

    /// <summary>A member's process has ended: no heartbeat will come any more.</summary>
    public static void End(Cluster cluster, Address member)
    {
        // The registry tells nobody which detector is whose, but hands a heartbeat to the right one, on this thread.
        _isEnd = true;
        try
        {
            cluster.FailureDetector.Heartbeat(member);
        }
        finally
        {
            _isEnd = false;
        }
    }

    /// <inheritdoc/>
    public override void HeartBeat()
    {
        if (_isEnd)
            _hasEnded = true;
        else
            base.HeartBeat();
    }
}
