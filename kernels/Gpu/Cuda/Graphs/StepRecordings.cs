using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>
/// Decode steps recorded as CUDA graphs. A step of a slice is some hundred launches of kernels that each run for microseconds; as one graph
/// the host enqueues it at once, and the device starts each kernel without waiting for the host.
/// </summary>
/// <remarks>
/// A step is what it was recorded as if the batch has the same shape (<see cref="StepShape"/>): tokens, positions and block tables lie in
/// device memory and are read there. The first time a shape comes up its step runs plainly, which compiles the kernels and takes what memory
/// they need; the second time it is recorded. Where recording fails, steps run plainly from then on. When a buffer that launches share has
/// been replaced, as when a second slice with larger batches comes to the device, all recordings are void.
/// </remarks>
internal sealed class StepRecordings(IStepRecorder recorder, GpuQueue queue) : IDisposable
{
    /// <summary>Shapes change as contexts double and sequences come and go; one recording takes a few hundred kilobytes.</summary>
    public const int MostRecordings = 64;

    private readonly Dictionary<StepShape, nint> _recordings = [];
    private int _replacedBuffers;
    private bool _failed;

    /// <summary>Runs a step from its recording, recording it first if its shape has come up before; false if it has to run plainly.</summary>
    public bool TryRun(GpuBatch batch, Action step)
    {
        if (_failed || StepShape.Of(batch, step) is not { } shape)
            return false;
        if (_replacedBuffers != queue.ReplacedBuffers)
            Clear();
        if (!_recordings.TryGetValue(shape, out nint recording))
        {
            if (_recordings.Count == MostRecordings)
                Clear();
            _recordings.Add(shape, 0);
            return false;
        }

        if (recording == 0)
        {
            recording = Record(step);
            if (recording == 0)
                return false;
            _recordings[shape] = recording;
        }

        recorder.Launch(recording);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private nint Record(Action step)
    {
        if (!recorder.TryBegin())
        {
            _failed = true;
            return 0;
        }

        try
        {
            step();
        }
        catch
        {
            // The stream must leave the recording state.
            _failed = true;
            nint rest = recorder.End();
            if (rest != 0)
                recorder.Destroy(rest);
            throw;
        }

        nint recording = recorder.End();
        _failed = recording == 0;
        return recording;
    }

    private void Clear()
    {
        _replacedBuffers = queue.ReplacedBuffers;
        if (_recordings.Values.Any(recording => recording != 0))
            queue.Synchronize();
        foreach (nint recording in _recordings.Values)
        {
            if (recording != 0)
                recorder.Destroy(recording);
        }

        _recordings.Clear();
    }
}
