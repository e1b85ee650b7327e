using ILGPU;
using ILGPU.Runtime;

namespace Llama3Cluster.Kernels.Gpu.Launch;

/// <summary>A compiled kernel on one accelerator. A launch allocates nothing.</summary>
/// <typeparam name="TArgs">The struct that it takes.</typeparam>
internal sealed class KernelLauncher<TArgs>
    where TArgs : struct
{
    private readonly Lock _gate = new();
    private readonly Action<AcceleratorStream, KernelConfig, TArgs> _launch;
    private readonly Index3D _group;

    /// <summary>Compiles a kernel.</summary>
    public KernelLauncher(Accelerator accelerator, KernelEntry<TArgs> entry)
    {
        // OpenCL C has no equivalent of the bounds; ILGPU uses them for PTX only.
        var specialization = new KernelSpecialization(entry.Traits.GroupSize, entry.Traits.MinGroups);
        Kernel = accelerator.LoadKernel(entry.Method, specialization);
        _launch = Kernel.CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArgs>>();
        _group = new Index3D(entry.Traits.GroupSize, 1, 1);
    }

    /// <summary>The kernel as ILGPU holds it.</summary>
    public Kernel Kernel { get; }

    /// <summary>Enqueues a launch of so many groups; none if a dimension is 0.</summary>
    public void Launch(AcceleratorStream stream, Index3D groups, in TArgs args)
    {
        if (groups.Size == 0)
            return;

        // OpenCL sets arguments on the kernel object before it enqueues it, and slices on threads of their own share the object.
        lock (_gate)
            _launch(stream, new KernelConfig(groups, _group), args);
    }
}
