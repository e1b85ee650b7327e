namespace Llama3Cluster.Kernels.Devices;

/// <summary>
/// Lets the threads that share a device use it one after the other, in the order in which they ask. A lock would not do: a thread that
/// takes it again as soon as it has released it, as loading does weight by weight, keeps the others out.
/// </summary>
public sealed class DeviceTurns
{
    private readonly object _gate = new();
    private long _asked;
    private long _current;

    /// <summary>Waits for a turn. It is not given twice: a thread that asks again during its own turn waits for ever.</summary>
    /// <returns>The turn; it ends when it is disposed.</returns>
    public Turn Take()
    {
        lock (_gate)
        {
            long mine = _asked++;
            while (_current != mine)
                Monitor.Wait(_gate);
        }

        return new Turn(this);
    }

    /// <summary>Makes something during a turn.</summary>
    public T During<T>(Func<T> make)
    {
        using Turn turn = Take();
        return make();
    }

    private void End()
    {
        lock (_gate)
        {
            _current++;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>A turn that has been taken.</summary>
    public readonly ref struct Turn
    {
        private readonly DeviceTurns _turns;

        internal Turn(DeviceTurns turns) => _turns = turns;

        /// <summary>Ends the turn.</summary>
        public void Dispose() => _turns.End();
    }
}
