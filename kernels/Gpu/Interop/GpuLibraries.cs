using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;

namespace Llama3Cluster.Kernels.Gpu.Interop;

/// <summary>
/// Finds the drivers' libraries for ILGPU. ILGPU asks for <c>OpenCL</c> and <c>cuda</c>, that is <c>libOpenCL.so</c> and <c>libcuda.so</c>;
/// machines without development packages have only the names with a version, and ILGPU then sees no device and says nothing.
/// </summary>
internal static class GpuLibraries
{
    private static readonly string[] OpenCl = ["libOpenCL.so.1", "libOpenCL.so", "OpenCL.dll", "/System/Library/Frameworks/OpenCL.framework/OpenCL"];
    private static readonly string[] Cuda = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];
    private static readonly Lock Gate = new();
    private static bool _registered;

    /// <summary>Makes ILGPU find the libraries. To be called before the first ILGPU context; later calls do nothing.</summary>
    public static void Register()
    {
        lock (Gate)
        {
            if (_registered)
                return;
            NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, Resolve);
            _registered = true;
        }
    }

    /// <summary>Whether this machine has any of them.</summary>
    public static bool ArePresent() => Load(OpenCl) != 0 || Load(Cuda) != 0;

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        "OpenCL" or "opencl" => Load(OpenCl),
        "cuda" or "nvcuda" => Load(Cuda),
        _ => 0, // the runtime's own search
    };

    private static nint Load(string[] names)
    {
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint handle))
                return handle;
        }

        return 0;
    }
}
