using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// A data connection: frames arrive in order, after a while. What is under way when it ends may be lost, or may have reached its
/// receiver's mailbox already and be looked at much later.
/// </summary>
/// <param name="world">Time and chance.</param>
/// <param name="isCut">Whether the network between the ends is down at the moment.</param>
/// <param name="receive">Where frames go.</param>
/// <param name="onBroken">Hears at the receiver's end that the link is down.</param>
/// <param name="onOwnEnd">Hears it at the sender's end.</param>
internal sealed class SimulatedLink(SimulatedWorld world, Func<bool> isCut, Action<Step, SampledTokens?> receive, Action<string> onBroken, Action<string> onOwnEnd)
{
    private TimeSpan _lastArrival;

    public bool IsUp { get; set; }

    public bool IsEnded { get; private set; }

    public void Send(Step step, SampledTokens? result)
    {
        if (IsEnded)
            return;
        if (isCut())
        {
            // Nothing is heard of it; the pings will notice.
            world.Soon(400, 3000, () => Break("nothing came from the peer"));
            return;
        }

        TimeSpan arrival = world.Now + TimeSpan.FromMilliseconds(world.Random.Next(0, 3));
        _lastArrival = arrival = arrival > _lastArrival ? arrival : _lastArrival;
        world.After(arrival - world.Now, () => Arrive(step, result));
    }

    /// <summary>Its sender closes it.</summary>
    public void Close(string reason) => End(() => onBroken(reason));

    /// <summary>It is lost: both ends hear of it.</summary>
    public void Break(string reason) => End(() =>
    {
        onBroken(reason);
        onOwnEnd(reason);
    });

    private void End(Action tell)
    {
        if (IsEnded)
            return;
        IsEnded = true;
        world.Soon(0, 5, tell);
    }

    private void Arrive(Step step, SampledTokens? result)
    {
        if (!IsEnded)
            receive(step, result);
        else if (world.OneIn(2))
            world.Soon(0, 800, () => receive(step, result)); // it was in a mailbox
    }
}
