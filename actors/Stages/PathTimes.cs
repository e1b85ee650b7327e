namespace Llama3Cluster.Actors.Stages;

/// <summary>
/// What messages to one node and back have taken lately. The least of them counts: it is what the way takes, the others waited for busy
/// processors besides.
/// </summary>
internal sealed class PathTimes
{
    /// <summary>Measurements without which nothing is said.</summary>
    public const int Fewest = 8;

    private const int Kept = 2 * Fewest;

    private readonly double[] _seconds = new double[Kept];

    /// <summary>Measurements so far.</summary>
    public int Count { get; private set; }

    /// <summary>Seconds of one way; null as long as there are too few measurements.</summary>
    public double? Seconds => Count < Fewest ? null : _seconds.Take(Count).Min();

    /// <summary>Adds a measurement, in place of the oldest if there are many.</summary>
    /// <param name="roundTrip">Seconds there and back.</param>
    public void Add(double roundTrip) => _seconds[Count++ % Kept] = roundTrip / 2;
}
