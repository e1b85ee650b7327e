using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Values;

namespace Llama3Cluster.Kernels.Gpu.Intrinsics;

/// <summary>
/// The fused multiply-add. Compilers may or may not contract <c>a * b + c</c>, kernel by kernel; results that must not depend on the
/// kernel say which they mean.
/// </summary>
internal static class Fused
{
    /// <summary><c>a * b + c</c>, rounded once.</summary>
    [IntrinsicImplementation]
    public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>Writes it as OpenCL C.</summary>
    public static void EmitOpenCl(CLBackend backend, CLCodeGenerator generator, ILGPU.IR.Value value)
    {
        var call = (MethodCall)value;
        var target = generator.Allocate(value);
        using CLCodeGenerator.StatementEmitter statement = generator.BeginStatement(target, "fma");
        statement.BeginArguments();
        for (int i = 0; i < 3; i++)
            statement.AppendArgument(generator.Load(call[i]));
        statement.EndArguments();
    }

    /// <summary>Writes it as PTX.</summary>
    public static void EmitPtx(PTXBackend backend, PTXCodeGenerator generator, ILGPU.IR.Value value)
    {
        var call = (MethodCall)value;
        var a = generator.LoadPrimitive(call[0]);
        var b = generator.LoadPrimitive(call[1]);
        var c = generator.LoadPrimitive(call[2]);
        var target = generator.AllocateHardware(value);
        using PTXCodeGenerator.CommandEmitter command = generator.BeginCommand("fma.rn.f32");
        command.AppendArgument(target);
        command.AppendArgument(a);
        command.AppendArgument(b);
        command.AppendArgument(c);
    }
}
