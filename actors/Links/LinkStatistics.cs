namespace Llama3Cluster.Actors.Links;

/// <summary>What a link has done so far. Read from any thread.</summary>
public sealed class LinkStatistics
{
    private long _roundTripTicks;
    private long _framesSent;
    private long _bytesSent;
    private long _framesReceived;
    private long _bytesReceived;
    private int _queuedFrames;

    /// <summary>Round trip of the last ping that was answered; zero before the first answer.</summary>
    public TimeSpan RoundTrip => new(Volatile.Read(ref _roundTripTicks));

    /// <summary>Steps and sampled tokens that were sent.</summary>
    public long FramesSent => Volatile.Read(ref _framesSent);

    /// <summary>Bytes of the frames that were sent.</summary>
    public long BytesSent => Volatile.Read(ref _bytesSent);

    /// <summary>Steps and sampled tokens that were received.</summary>
    public long FramesReceived => Volatile.Read(ref _framesReceived);

    /// <summary>Bytes of the frames that were received.</summary>
    public long BytesReceived => Volatile.Read(ref _bytesReceived);

    /// <summary>Frames that wait for credit.</summary>
    public int QueuedFrames => Volatile.Read(ref _queuedFrames);

    // Each number has one writer: the link's actor or its reading thread.

    internal void OnSent(long bytes)
    {
        Volatile.Write(ref _framesSent, _framesSent + 1);
        Volatile.Write(ref _bytesSent, _bytesSent + bytes);
    }

    internal void OnReceived(long bytes)
    {
        Volatile.Write(ref _framesReceived, _framesReceived + 1);
        Volatile.Write(ref _bytesReceived, _bytesReceived + bytes);
    }

    internal void OnQueued(int frames) => Volatile.Write(ref _queuedFrames, frames);

    internal void OnPong(TimeSpan roundTrip) => Volatile.Write(ref _roundTripTicks, roundTrip.Ticks);
}
