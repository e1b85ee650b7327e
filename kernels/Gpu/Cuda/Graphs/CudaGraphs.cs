using ILGPU.Runtime.Cuda;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>Recordings of a stream as CUDA graphs.</summary>
internal sealed class CudaGraphs : IStepRecorder
{
    private readonly CudaGraphApi _api;
    private readonly CudaStream _stream;

    private CudaGraphs(CudaGraphApi api, CudaStream stream)
    {
        _api = api;
        _stream = stream;
    }

    /// <summary>Recordings for a queue; null if its device is not driven by CUDA, or by too old a driver.</summary>
    public static CudaGraphs? For(GpuQueue queue) =>
        queue.Stream is CudaStream stream && queue.Context.HasTensorCores && CudaGraphApi.TryLoad() is { } api
            ? new CudaGraphs(api, stream)
            : null;

    /// <inheritdoc/>
    public bool TryBegin()
    {
        _stream.Accelerator.Bind();
        return _api.TryBeginCapture(_stream.StreamPtr);
    }

    /// <inheritdoc/>
    public nint End() => _api.EndCapture(_stream.StreamPtr);

    /// <inheritdoc/>
    public void Launch(nint recording)
    {
        _stream.Accelerator.Bind();
        _api.Launch(recording, _stream.StreamPtr);
    }

    /// <inheritdoc/>
    public void Destroy(nint recording)
    {
        _stream.Accelerator.Bind();
        _api.Destroy(recording);
    }
}
