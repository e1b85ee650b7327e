using ILGPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Llama3Cluster.Kernels.Gpu.Interop;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>Finds the devices that CUDA and OpenCL drivers show on this machine.</summary>
public static class GpuDiscovery
{
    /// <summary>All usable devices: CUDA's first. Empty where there is no driver.</summary>
    public static IReadOnlyList<GpuInfo> List()
    {
        if (!GpuLibraries.ArePresent())
            return []; // without a driver there is no need to start ILGPU
        GpuLibraries.Register();
        using Context context = Context.Create(builder => builder.Cuda().OpenCL(IsUsable));
        var devices = new List<GpuInfo>();
        foreach (CudaDevice device in context.GetCudaDevices())
        {
            devices.Add(new GpuInfo(
                GpuInterface.Cuda, devices.Count, device.Name, device.MemorySize, device.NumMultiprocessors, IsGpu: true,
                BytesPerSecond(device), device.DeviceId));
        }

        int cuda = devices.Count;
        foreach (CLDevice device in context.GetCLDevices())
        {
            devices.Add(new GpuInfo(
                GpuInterface.OpenCl, devices.Count - cuda, device.Name.Trim(), device.MemorySize, device.NumMultiprocessors,
                device.DeviceType.HasFlag(CLDeviceType.CL_DEVICE_TYPE_GPU), BytesPerSecond: 0, device.DeviceId));
        }

        return devices;
    }

    /// <summary>The devices to compute on if nothing is said: all CUDA GPUs, or else all OpenCL GPUs. Processors only when named.</summary>
    public static IReadOnlyList<GpuInfo> Preferred(IReadOnlyList<GpuInfo> devices)
    {
        GpuInfo[] cuda = [.. devices.Where(device => device.Interface == GpuInterface.Cuda)];
        return cuda.Length > 0 ? cuda : [.. devices.Where(device => device.IsGpu)];
    }

    // The clock is in kHz, the bus in bits; data go by at both edges.
    private static double BytesPerSecond(CudaDevice device) => 2e3 * device.MemoryClockRate * (device.MemoryBusWidth / 8.0);

    /// <summary>Whether kernels can run on an OpenCL device: ILGPU's code uses generic pointers.</summary>
    internal static bool IsUsable(CLDevice device) => device.Capabilities.GenericAddressSpace;
}
