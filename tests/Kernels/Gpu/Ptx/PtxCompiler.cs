using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>Compiles kernels to PTX where there is no GPU.</summary>
internal static class PtxCompiler
{
    /// <summary>A kernel's PTX for compute capability 8.0 or 9.0.</summary>
    public static string Compile(KernelEntry entry, CudaArchitecture architecture)
    {
        // One failed compilation leaves a context unusable.
        using Context context = GpuContext.CreateContext(_ => { });
        var capabilities = new CudaCapabilityContext(architecture);
        CudaInstructionSet instructions = architecture == CudaArchitecture.SM_80 ? CudaInstructionSet.ISA_78 : CudaInstructionSet.ISA_84;
        using var backend = new PTXBackend(context, capabilities, architecture, instructions, null);
        var compiled = (PTXCompiledKernel)backend.Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(entry.Method),
            new KernelSpecialization(entry.Traits.GroupSize, entry.Traits.MinGroups));
        return compiled.PTXAssembly;
    }
}
