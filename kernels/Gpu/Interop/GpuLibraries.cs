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

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        string[] candidates = name switch
        {
            "OpenCL" => ["libOpenCL.so.1", "OpenCL.dll", "libOpenCL.so"],
            "cuda" => ["libcuda.so.1", "libcuda.so"],
            _ => [],
        };
        foreach (string candidate in candidates)
        {
            if (NativeLibrary.TryLoad(candidate, out nint handle))
                return handle;
        }

        return 0; // the runtime's own search
    }
}
