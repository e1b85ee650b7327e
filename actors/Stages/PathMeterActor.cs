using System.Buffers.Binary;
using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// Below a stage host: measures how long as much as the activations of a small step takes to the other nodes with stages, and tells its
/// parent. What placement makes of that is in <see cref="Placement.SlowLinks"/>.
/// </summary>
/// <remarks>It asks who is there (<see cref="Identify"/>): every release answers, with what the question carried.</remarks>
internal sealed class PathMeterActor : UntypedActor, IWithTimers
{
    private const int MostBytes = 64 << 10;

    // New paths are measured at every tick, the others now and then.
    private const int TicksBetween = 20;

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(500);

    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly int _bytes;
    private readonly Dictionary<string, PathTimes> _times = [];
    private readonly Dictionary<long, (string Node, long Sent)> _asked = [];
    private long _ticks;
    private long _numbers;

    /// <summary>Use <see cref="Props"/>.</summary>
    public PathMeterActor(int bytes) => _bytes = Math.Clamp(bytes, sizeof(long), MostBytes);

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>How to make one.</summary>
    /// <param name="bytes">Bytes of a message, at most 64 KiB.</param>
    public static Props Props(int bytes) => Akka.Actor.Props.Create(() => new PathMeterActor(bytes));

    /// <summary>To the parent: what is known of the ways to other nodes.</summary>
    public sealed record Measured(StageMessages.PathReport[] Paths) : INoSerializationVerificationNeeded;

    /// <inheritdoc/>
    protected override void PreStart() => Timers.StartPeriodicTimer(Tick.Instance, Tick.Instance, TickInterval);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Tick:
                Ask();
                break;
            case ActorIdentity { MessageId: byte[] { Length: >= sizeof(long) } payload, Subject: not null }:
                Take(BinaryPrimitives.ReadInt64LittleEndian(payload));
                break;
            case ActorIdentity:
                break; // no stages there any more
            default:
                Unhandled(message);
                break;
        }
    }

    private void Ask()
    {
        HashSet<string> peers = Peers();
        foreach (string gone in _times.Keys.Except(peers).ToList())
            _times.Remove(gone);
        bool isTurn = _ticks++ % TicksBetween == 0;
        if (isTurn)
            _asked.Clear(); // what has not been answered by now never will be, or says nothing
        foreach (string node in peers)
        {
            if (!_times.TryGetValue(node, out PathTimes? times))
                _times[node] = times = new PathTimes();
            if (!isTurn && times.Count >= PathTimes.Fewest)
                continue;
            byte[] payload = new byte[_bytes];
            BinaryPrimitives.WriteInt64LittleEndian(payload, ++_numbers);
            _asked[_numbers] = (node, Stopwatch.GetTimestamp());
            StageHostActor.On(node).Tell(new Identify(payload), Self);
        }
    }

    private void Take(long number)
    {
        if (!_asked.Remove(number, out var asked) || !_times.TryGetValue(asked.Node, out PathTimes? times))
            return;
        times.Add(Stopwatch.GetElapsedTime(asked.Sent).TotalSeconds);
        Context.Parent.Tell(new Measured(
            [.. _times.Where(path => path.Value.Seconds is not null).Select(path => new StageMessages.PathReport(path.Key, path.Value.Seconds!.Value))]));
    }

    private HashSet<string> Peers() => [.. _cluster.State.Members
        .Where(member => member.HasRole(ClusterNode.StageRole) && member.Status == MemberStatus.Up
            && !member.UniqueAddress.Equals(_cluster.SelfUniqueAddress) && !_cluster.State.Unreachable.Contains(member))
        .Select(member => NodeContext.AddressOf(member.Address))];

    private sealed class Tick
    {
        public static readonly Tick Instance = new();
    }
}
