namespace Llama3Cluster.Actors.Tests.Simulation;

/// <summary>
/// Time, chance and the order of events of a simulation, all from one seed: the same seed gives the same run. Events of one moment
/// happen in the order in which they were planned.
/// </summary>
internal sealed class SimulatedWorld(int seed)
{
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private readonly List<string> _trace = [];
    private long _planned;

    public int Seed { get; } = seed;

    public Random Random { get; } = new(seed);

    public TimeSpan Now { get; private set; }

    /// <summary>What happened, for a run that failed.</summary>
    public string Trace => string.Join('\n', _trace.TakeLast(120));

    public void Note(string what) => _trace.Add($"{Now.TotalMilliseconds,9:0} ms  {what}");

    /// <summary>Plans an event.</summary>
    public void After(TimeSpan delay, Action action) => _events.Enqueue(action, (Now + delay, _planned++));

    /// <summary>Plans an event some milliseconds ahead, at random.</summary>
    public void Soon(int least, int most, Action action) => After(TimeSpan.FromMilliseconds(Random.Next(least, most + 1)), action);

    /// <summary>Lets the next event happen; false when there is none.</summary>
    public bool Step()
    {
        if (!_events.TryDequeue(out Action? action, out (TimeSpan At, long Number) when))
            return false;
        Now = when.At;
        action();
        return true;
    }

    /// <summary>True with a probability of one in so many.</summary>
    public bool OneIn(int many) => Random.Next(many) == 0;
}
