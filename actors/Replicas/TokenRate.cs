namespace Llama3Cluster.Actors.Replicas;

/// <summary>Tokens a second over the last few seconds.</summary>
internal sealed class TokenRate
{
    private const int Seconds = 5;

    private readonly long[] _counts = new long[Seconds];
    private long _second;

    public long Total { get; private set; }

    public void Add(long nowMilliseconds)
    {
        MoveTo(nowMilliseconds / 1000);
        _counts[_second % Seconds]++;
        Total++;
    }

    public double PerSecond(long nowMilliseconds)
    {
        MoveTo(nowMilliseconds / 1000);
        // The present second counts for as much of it as has passed.
        double window = Seconds - 1 + (nowMilliseconds % 1000 / 1000.0);
        return _counts.Sum() / window;
    }

    private void MoveTo(long second)
    {
        for (long s = Math.Max(_second + 1, second - Seconds + 1); s <= second; s++)
            _counts[s % Seconds] = 0;
        _second = Math.Max(_second, second);
    }
}
