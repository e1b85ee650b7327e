using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>
/// The driver's functions for recording what a stream is given to do, which ILGPU has no words for; from libcuda itself (CUDA 11.4 or later).
/// Names and parameters are those of the CUDA driver API's "Stream Management" and "Graph Management".
/// </summary>
internal sealed unsafe class CudaGraphApi
{
    private readonly delegate* unmanaged<nint, int, int> _beginCapture;
    private readonly delegate* unmanaged<nint, nint*, int> _endCapture;
    private readonly delegate* unmanaged<nint*, nint, ulong, int> _instantiate;
    private readonly delegate* unmanaged<nint, nint, int> _launch;
    private readonly delegate* unmanaged<nint, int> _destroyGraph;
    private readonly delegate* unmanaged<nint, int> _destroyExecutable;

    private CudaGraphApi(nint library)
    {
        _beginCapture = (delegate* unmanaged<nint, int, int>)NativeLibrary.GetExport(library, "cuStreamBeginCapture_v2");
        _endCapture = (delegate* unmanaged<nint, nint*, int>)NativeLibrary.GetExport(library, "cuStreamEndCapture");
        _instantiate = (delegate* unmanaged<nint*, nint, ulong, int>)NativeLibrary.GetExport(library, "cuGraphInstantiateWithFlags");
        _launch = (delegate* unmanaged<nint, nint, int>)NativeLibrary.GetExport(library, "cuGraphLaunch");
        _destroyGraph = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "cuGraphDestroy");
        _destroyExecutable = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "cuGraphExecDestroy");
    }

    /// <summary>The functions, or null where the driver is absent or too old for them.</summary>
    public static CudaGraphApi? TryLoad()
    {
        if (!NativeLibrary.TryLoad("libcuda.so.1", out nint library) && !NativeLibrary.TryLoad("nvcuda.dll", out library))
            return null;
        try
        {
            return new CudaGraphApi(library);
        }
        catch (EntryPointNotFoundException)
        {
            return null;
        }
    }

    /// <summary>From now on the stream records what this thread gives it, instead of doing it.</summary>
    public bool TryBeginCapture(nint stream)
    {
        const int ThreadLocal = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other slices' threads go on.
        return _beginCapture(stream, ThreadLocal) == 0;
    }

    /// <summary>Ends the recording and makes it executable; 0 if the driver could not record everything.</summary>
    public nint EndCapture(nint stream)
    {
        nint graph = 0, executable = 0;
        if (_endCapture(stream, &graph) != 0 || graph == 0)
            return 0;
        if (_instantiate(&executable, graph, 0) != 0)
            executable = 0;
        _ = _destroyGraph(graph); // The executable stands by itself; a graph that cannot be destroyed harms nobody.
        return executable;
    }

    /// <summary>Enqueues a recording.</summary>
    /// <exception cref="InvalidOperationException">The driver refuses.</exception>
    public void Launch(nint executable, nint stream)
    {
        int result = _launch(executable, stream);
        if (result != 0)
            throw new InvalidOperationException($"cuGraphLaunch failed with CUDA error {result}");
    }

    /// <summary>Frees a recording that is no longer under way.</summary>
    public void Destroy(nint executable) => _ = _destroyExecutable(executable); // Freed with the context otherwise.
}
