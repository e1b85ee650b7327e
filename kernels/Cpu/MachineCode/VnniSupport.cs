using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>
/// Whether the processor has AVX-512 VNNI, which .NET 10 does not expose, and the system lets a process run code that it wrote. The tiles
/// follow the calling convention of Linux.
/// </summary>
internal static unsafe class VnniSupport
{
    private const int StructuredFeatures = 7, VnniBit = 1 << 11;

    /// <summary>Found out once.</summary>
    public static bool IsSupported { get; } = HasInstructions() && MayRunCode();

    private static bool HasInstructions() =>
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64
        && Avx512F.IsSupported && Avx512BW.IsSupported && X86Base.CpuId(0, 0).Eax >= StructuredFeatures
        && (X86Base.CpuId(StructuredFeatures, 0).Ecx & VnniBit) != 0;

    private static bool MayRunCode()
    {
        var code = new Assembler();
        code.Return();
        void* kept = CodeMemory.TryKeep(code.ToArray());
        if (kept == null)
            return false;
        ((delegate* unmanaged[SuppressGCTransition]<void>)kept)();
        return true;
    }
}
