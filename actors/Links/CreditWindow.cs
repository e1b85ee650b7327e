namespace Llama3Cluster.Actors.Links;

/// <summary>
/// Frames in flight on a link, as one side counts them: taken when a frame is sent or arrives, given back when the receiver's
/// credit is sent or arrives. One thread takes and another gives.
/// </summary>
internal sealed class CreditWindow(int size)
{
    private int _inFlight;

    /// <summary>Frames in flight.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Takes one credit; false if all are taken.</summary>
    public bool TryTake()
    {
        if (Volatile.Read(ref _inFlight) >= size)
            return false;
        Interlocked.Increment(ref _inFlight);
        return true;
    }

    /// <summary>Gives credits back; false if so many were not taken.</summary>
    public bool TryGive(int credits) => Interlocked.Add(ref _inFlight, -credits) >= 0;
}
