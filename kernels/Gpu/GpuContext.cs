using System.Globalization;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Interop;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>
/// A device of the machine with its compiled kernels and its memory, shared by all slices on it. Kernels are compiled when they are first
/// launched. Slices' devices are disposed before it.
/// </summary>
public sealed class GpuContext : IDisposable
{
    // What drivers and other programs need, and what fragmentation loses.
    private const long CudaReserve = 512L << 20;

    private readonly Lock _gate = new();
    private readonly Context _context;
    private object?[] _launchers = [];

    /// <summary>Opens a device that <see cref="GpuDiscovery.List"/> found.</summary>
    /// <param name="info">The device.</param>
    /// <param name="limitBytes">Bytes that slices may use of it at most; null for what its driver grants.</param>
    /// <exception cref="InvalidOperationException">It is no longer there.</exception>
    public GpuContext(GpuInfo info, long? limitBytes = null)
    {
        GpuLibraries.Register();
        Info = info;
        _context = CreateContext(builder => _ = info.Interface == GpuInterface.Cuda
            ? builder.Cuda(device => device.DeviceId == (int)info.Handle)
            : builder.OpenCL(device => device.DeviceId == info.Handle && GpuDiscovery.IsUsable(device)));
        try
        {
            Device device = _context.Devices.FirstOrDefault(device => device.AcceleratorType != AcceleratorType.CPU)
                ?? throw new InvalidOperationException($"the device {info.Id} ({info.Name}) has gone");
            Accelerator = device.CreateAccelerator(_context);
            Architecture = (Accelerator as CudaAccelerator)?.Architecture;
            Memory = new DeviceMemory(Accelerator, Kind, info.Id, Math.Min(limitBytes ?? long.MaxValue, Granted(Accelerator)));
            Description = string.Create(CultureInfo.InvariantCulture,
                $"{info.Id} ({info.Name}{(Architecture is { } a ? $", sm_{a.Major}{a.Minor}" : "")}, {info.Multiprocessors} compute units)");
        }
        catch
        {
            _context.Dispose();
            throw;
        }
    }

    /// <summary>The device.</summary>
    public GpuInfo Info { get; }

    /// <summary>How it keeps weights and caches.</summary>
    public DeviceKind Kind =>
        HasTensorCores ? DeviceKind.CudaTensorCores : Architecture is null ? DeviceKind.OpenCl : DeviceKind.Cuda;

    /// <summary>The device in words.</summary>
    public string Description { get; }

    /// <summary>Bytes that its driver grants for slices: of a CUDA device what was free when it was opened, less a reserve.</summary>
    public long GrantedBytes => Memory.GrantedBytes;

    /// <summary>Bytes of these that are in use.</summary>
    public long UsedBytes => Memory.UsedBytes;

    /// <summary>ILGPU's accelerator.</summary>
    internal Accelerator Accelerator { get; }

    /// <summary>The compute capability of a CUDA device; null for OpenCL.</summary>
    internal CudaArchitecture? Architecture { get; }

    /// <summary>Whether it has tensor cores for bfloat16, and so the kernels of <see cref="Cuda.CudaKernels"/>.</summary>
    internal bool HasTensorCores => Architecture >= CudaArchitecture.SM_80;

    /// <summary>The device's memory.</summary>
    internal DeviceMemory Memory { get; }

    /// <summary>An ILGPU context as all kernels here are compiled in: optimized, with our intrinsics. Tests compile without a device in it.</summary>
    internal static Context CreateContext(Action<Context.Builder> devices) => Context.Create(builder =>
    {
        builder.Optimize(OptimizationLevel.O2);
        DeviceIntrinsics.Register(builder);
        devices(builder);
    });

    /// <summary>The compiled kernel of an entry.</summary>
    internal KernelLauncher<TArgs> Launcher<TArgs>(KernelEntry<TArgs> entry)
        where TArgs : struct
    {
        object?[] launchers = Volatile.Read(ref _launchers);
        return entry.Id < launchers.Length && launchers[entry.Id] is KernelLauncher<TArgs> launcher ? launcher : Compile(entry);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Accelerator.Dispose();
        _context.Dispose();
    }

    private KernelLauncher<TArgs> Compile<TArgs>(KernelEntry<TArgs> entry)
        where TArgs : struct
    {
        lock (_gate)
        {
            if (entry.Id < _launchers.Length && _launchers[entry.Id] is KernelLauncher<TArgs> present)
                return present;
            var launcher = new KernelLauncher<TArgs>(Accelerator, entry);
            var launchers = new object?[Math.Max(_launchers.Length, entry.Id + 1)];
            _launchers.CopyTo(launchers, 0);
            launchers[entry.Id] = launcher;
            Volatile.Write(ref _launchers, launchers);
            return launcher;
        }
    }

    private static long Granted(Accelerator accelerator) => accelerator is CudaAccelerator cuda
        ? Math.Max(0, cuda.GetFreeMemory() - CudaReserve)
        : accelerator.MemorySize / 10 * 9;
}
