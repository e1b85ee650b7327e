using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace Llama3Cluster.Kernels.Gpu.Interop;

/// <summary>
/// Asynchronous copies between host and device, by the driver's functions. ILGPU's own copy between a page-locked array and OpenCL memory
/// takes the length of the whole buffer for that of the part.
/// </summary>
internal static class Transfers
{
    /// <summary>Enqueues a copy to the device. The host memory must not change until the stream has come past it.</summary>
    public static void ToDevice(AcceleratorStream stream, nint source, MemoryBuffer target, long offset, long bytes)
    {
        if (stream is CLStream)
        {
            CLException.ThrowIfFailed(CLAPI.CurrentAPI.WriteBuffer(stream, target.NativePtr, false, (nint)offset, (nint)bytes, source));
            return;
        }

        stream.Accelerator.Bind();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(target.NativePtr + (nint)offset, source, (nint)bytes, stream));
    }

    /// <summary>Enqueues a copy to the host.</summary>
    public static void ToHost(AcceleratorStream stream, MemoryBuffer source, long offset, nint target, long bytes)
    {
        if (stream is CLStream)
        {
            CLException.ThrowIfFailed(CLAPI.CurrentAPI.ReadBuffer(stream, source.NativePtr, false, (nint)offset, (nint)bytes, target));
            return;
        }

        stream.Accelerator.Bind();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(target, source.NativePtr + (nint)offset, (nint)bytes, stream));
    }
}
