namespace Llama3Cluster.Actors.Protocol;

/// <summary>
/// Frames to reuse, one pool a process. Renting never waits: how many frames are out is bounded by the links' credits, and
/// the pool only bounds what it keeps when they come back.
/// </summary>
/// <param name="maxIdleFrames">Frames of each kind to keep.</param>
/// <param name="maxIdleBytes">Payload bytes to keep: frames that come back beyond it lose their buffers.</param>
public sealed class FramePool(int maxIdleFrames = 64, long maxIdleBytes = 256L << 20)
{
    private readonly Lock _lock = new();
    private readonly StepFrame?[] _steps = new StepFrame?[maxIdleFrames];
    private readonly SampledFrame?[] _sampled = new SampledFrame?[maxIdleFrames];
    private int _stepCount;
    private int _sampledCount;
    private long _idleBytes;
    private int _outstanding;

    /// <summary>Frames that are rented and not released.</summary>
    public int Outstanding => Volatile.Read(ref _outstanding);

    /// <summary>Payload bytes of the frames that wait in the pool.</summary>
    public long IdleBytes => Volatile.Read(ref _idleBytes);

    /// <summary>An empty step frame; the caller owns it.</summary>
    public StepFrame RentStep()
    {
        StepFrame? frame = null;
        lock (_lock)
        {
            if (_stepCount > 0)
            {
                // The one that came back last: its memory is the likeliest to be in a cache still.
                ref StepFrame? top = ref _steps[--_stepCount];
                frame = top!;
                top = null;
                _idleBytes -= frame.Capacity;
            }
        }

        return Rented(frame ?? new StepFrame(this));
    }

    /// <summary>An empty frame for sampled tokens; the caller owns it.</summary>
    public SampledFrame RentSampled()
    {
        SampledFrame? frame = null;
        lock (_lock)
        {
            if (_sampledCount > 0)
            {
                ref SampledFrame? top = ref _sampled[--_sampledCount];
                frame = top!;
                top = null;
            }
        }

        return Rented(frame ?? new SampledFrame(this));
    }

    internal void Return(StepFrame frame)
    {
        lock (_lock)
        {
            if (_stepCount < _steps.Length)
            {
                if (_idleBytes + frame.Capacity > maxIdleBytes)
                    frame.DropBuffer();
                _idleBytes += frame.Capacity;
                _steps[_stepCount++] = frame;
            }
        }

        Interlocked.Decrement(ref _outstanding);
    }

    internal void Return(SampledFrame frame)
    {
        lock (_lock)
        {
            if (_sampledCount < _sampled.Length)
                _sampled[_sampledCount++] = frame;
        }

        Interlocked.Decrement(ref _outstanding);
    }

    private T Rented<T>(T frame)
        where T : PooledFrame
    {
        frame.MarkRented();
        Interlocked.Increment(ref _outstanding);
        return frame;
    }
}
