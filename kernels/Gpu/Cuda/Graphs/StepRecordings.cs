using ILGPU.Runtime.Cuda;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>
/// Decode steps recorded as CUDA graphs. A step of a slice is some hundred launches of kernels that each run for microseconds; as one graph
/// the host enqueues it at once, and the device starts each kernel without waiting for the host.
/// </summary>
/// <remarks>
/// A step is what it was recorded as if the batch has the same shape (<see cref="StepShape"/>): tokens, positions and block tables lie in
/// device memory and are read there. The first time a shape comes up its step runs plainly, which compiles the kernels; the second time it
/// is recorded. Where recording fails, steps run plainly from then on.
/// </remarks>
internal sealed class StepRecordings : IDisposable
{
    // Shapes change as contexts double and sequences come and go; one recording takes a few hundred kilobytes.
    private const int MostRecordings = 64;

    private readonly CudaGraphApi _api;
    private readonly GpuQueue _queue;
    private readonly nint _stream;
    private readonly Dictionary<StepShape, nint> _recordings = [];
    private bool _failed;

    private StepRecordings(CudaGraphApi api, GpuQueue queue, CudaStream stream)
    {
        _api = api;
        _queue = queue;
        _stream = stream.StreamPtr;
    }

    /// <summary>Recordings for a queue; null if its device is not driven by CUDA, or by too old a driver.</summary>
    public static StepRecordings? For(GpuQueue queue) =>
        queue.Stream is CudaStream stream && queue.Context.Architecture >= CudaArchitecture.SM_80 && CudaGraphApi.TryLoad() is { } api
            ? new StepRecordings(api, queue, stream)
            : null;

    /// <summary>Runs a step from its recording, recording it first if its shape has come up before; false if it has to run plainly.</summary>
    public bool TryRun(GpuBatch batch, Action step)
    {
        if (_failed || StepShape.Of(batch, step) is not { } shape)
            return false;
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

        _queue.Context.Accelerator.Bind();
        _api.Launch(recording, _stream);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private nint Record(Action step)
    {
        _queue.Context.Accelerator.Bind();
        if (!_api.TryBeginCapture(_stream))
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
            nint rest = _api.EndCapture(_stream);
            if (rest != 0)
                _api.Destroy(rest);
            throw;
        }

        nint recording = _api.EndCapture(_stream);
        _failed = recording == 0;
        return recording;
    }

    private void Clear()
    {
        if (_recordings.Values.Any(recording => recording != 0))
            _queue.Synchronize();
        foreach (nint recording in _recordings.Values)
        {
            if (recording != 0)
                _api.Destroy(recording);
        }

        _recordings.Clear();
    }
}
