using System.Reflection;
using ILGPU;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>
/// Registers the functions that become instructions. A type with such functions declares <c>Name</c> with
/// <see cref="IntrinsicImplementationAttribute"/>, and how it is written.
/// </summary>
internal static class DeviceIntrinsics
{
    private const BindingFlags Any = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    /// <summary>Registers all of them with a context under construction.</summary>
    public static void Register(Context.Builder builder)
    {
        IntrinsicImplementationManager manager = builder.GetIntrinsicManager();
        MethodInfo fused = Method(typeof(Fused), nameof(Fused.MultiplyAdd));
        manager.RegisterMethod(fused, new CLIntrinsic(Method(typeof(Fused), nameof(Fused.EmitOpenCl)), IntrinsicImplementationMode.GenerateCode));
        manager.RegisterMethod(fused, new PTXIntrinsic(Method(typeof(Fused), nameof(Fused.EmitPtx)), IntrinsicImplementationMode.GenerateCode));
        PtxEmitter.Register(manager);
    }

    private static MethodInfo Method(Type type, string name) =>
        type.GetMethod(name, Any) ?? throw new MissingMethodException(type.FullName, name);
}
