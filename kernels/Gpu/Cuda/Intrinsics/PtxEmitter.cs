using System.Reflection;
using System.Text;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Values;
using Registers = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <summary>Teaches a context the instructions of <see cref="Ptx"/>: one generator fills in every method's template.</summary>
internal static class PtxEmitter
{
    private static readonly MethodInfo Generator =
        typeof(PtxEmitter).GetMethod(nameof(Emit), BindingFlags.Static | BindingFlags.NonPublic)!;

    /// <summary>Registers every method that has a template.</summary>
    public static void Register(IntrinsicImplementationManager manager)
    {
        foreach (MethodInfo method in typeof(Ptx).GetMethods(BindingFlags.Static | BindingFlags.Public))
        {
            if (method.IsDefined(typeof(PtxTemplateAttribute)))
                manager.RegisterMethod(method, new PTXIntrinsic(Generator, IntrinsicImplementationMode.GenerateCode));
        }
    }

    private static void Emit(PTXBackend backend, PTXCodeGenerator code, Value value)
    {
        var call = (MethodCall)value;
        string template = call.Target.Source.GetCustomAttribute<PtxTemplateAttribute>()!.Template;
        var arguments = new List<Registers.PrimitiveRegister>();
        foreach (Value argument in call)
            Flatten(code.Load(argument), arguments);
        var results = new List<Registers.PrimitiveRegister>();
        if (!call.Type.IsVoidType)
            Flatten(code.Allocate(value), results);
        string text = Fill(code, template, arguments, results);
        code.Builder.Append('\t').Append(text).Append('\n');
    }

    private static void Flatten(Registers.Register register, List<Registers.PrimitiveRegister> registers)
    {
        if (register is Registers.CompoundRegister compound)
        {
            foreach (Registers.Register child in compound.Children)
                Flatten(child, registers);
        }
        else
        {
            registers.Add((Registers.PrimitiveRegister)register);
        }
    }

    private static string Fill(
        PTXCodeGenerator code, string template, List<Registers.PrimitiveRegister> arguments, List<Registers.PrimitiveRegister> results)
    {
        var text = new StringBuilder();
        for (int i = 0; i < template.Length; i++)
        {
            if (template[i] is not ('%' or '#'))
            {
                text.Append(template[i]);
                continue;
            }

            char kind = template[i++];
            bool result = template[i] == 'd';
            int start = i += result ? 1 : 0;
            while (i < template.Length && char.IsAsciiDigit(template[i]))
                i++;
            int index = start == i ? 0 : int.Parse(template.AsSpan(start, i - start));
            i--;
            text.Append((kind, result) switch
            {
                (_, true) => Name(code, results[index]),
                ('%', _) => Name(code, arguments[index]),
                _ => Constant(arguments[index]),
            });
        }

        return text.ToString();
    }

    private static string Name(PTXCodeGenerator code, Registers.PrimitiveRegister register) =>
        "%" + PTXRegisterAllocator.GetStringRepresentation(code.EnsureHardwareRegister(register));

    private static string Constant(Registers.PrimitiveRegister register) => register is Registers.ConstantRegister constant
        ? constant.Value.Int32Value.ToString()
        : throw new InvalidOperationException("an instruction asks for a constant where the kernel computes a value");
}
