namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Where one thread waits without using the processor.</summary>
internal sealed class Parking : IDisposable
{
    private readonly AutoResetEvent _wake = new(false);
    private int _parked;

    /// <summary>Whether the thread waits, or is about to.</summary>
    public bool IsParked => Volatile.Read(ref _parked) != 0;

    /// <summary>
    /// Waits for a <see cref="Wake"/>, unless <paramref name="word"/> masked no longer equals <paramref name="expected"/>. May return for
    /// no reason: the caller checks the word again.
    /// </summary>
    public void Wait(ref long word, long mask, long expected)
    {
        // Announce first, look second: whoever changes the word and then calls Wake either is seen here or sees the announcement.
        Interlocked.Exchange(ref _parked, 1);
        if ((Volatile.Read(ref word) & mask) == expected)
            _wake.WaitOne();
        Volatile.Write(ref _parked, 0);
    }

    /// <summary>Ends the wait, if there is one.</summary>
    public void Wake()
    {
        if (Volatile.Read(ref _parked) != 0 && Interlocked.Exchange(ref _parked, 0) != 0)
            _wake.Set();
    }

    /// <inheritdoc/>
    public void Dispose() => _wake.Dispose();
}
