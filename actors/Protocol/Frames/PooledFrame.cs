using Akka.Actor;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>Hears when a frame that it received and passed on has been consumed.</summary>
internal interface IFrameSource
{
    /// <summary>The frame went back to its pool.</summary>
    void OnFrameReleased();
}

/// <summary>
/// A frame from a <see cref="FramePool"/>. It has one owner at a time: an actor that is told a frame owns it, and either
/// tells it on or releases it. It never leaves the process as an object.
/// </summary>
public abstract class PooledFrame : INoSerializationVerificationNeeded
{
    private IFrameSource? _source;
    private int _rented;

    private protected PooledFrame(FramePool pool) => Pool = pool;

    private protected FramePool Pool { get; }

    /// <summary>Gives the frame back to its pool.</summary>
    /// <exception cref="InvalidOperationException">It was released before.</exception>
    public void Release()
    {
        if (Interlocked.Exchange(ref _rented, 0) == 0)
            throw new InvalidOperationException($"A {GetType().Name} was released twice: its first release ended its ownership.");

        IFrameSource? source = _source;
        _source = null;
        Recycle();
        source?.OnFrameReleased();
    }

    /// <summary>Takes the frame out of the pool.</summary>
    internal void MarkRented() => Volatile.Write(ref _rented, 1);

    /// <summary>Lets the link that read the frame know when it is consumed.</summary>
    internal void ReportReleaseTo(IFrameSource source) => _source = source;

    private protected void ThrowIfReleased()
    {
        if (Volatile.Read(ref _rented) == 0)
            throw new InvalidOperationException($"A {GetType().Name} was used after its release.");
    }

    /// <summary>Empties the frame and hands it to the pool.</summary>
    private protected abstract void Recycle();
}
