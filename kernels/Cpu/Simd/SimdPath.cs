using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Llama3Cluster.Kernels.Cpu.MachineCode;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>A vector width that the kernels can be compiled for.</summary>
internal enum SimdPath : byte
{
    /// <summary>Four lanes: Arm AdvSimd, SSE, or software.</summary>
    Vector128,

    /// <summary>Eight lanes: AVX2 with FMA, and AVX-VNNI where it is present.</summary>
    Vector256,

    /// <summary>Sixteen lanes: AVX-512.</summary>
    Vector512,

    /// <summary>The same, and matrix products in machine code of our own: with AVX-512 VNNI, which .NET does not expose.</summary>
    Vector512Vnni,
}

/// <summary>Which vector widths this processor has.</summary>
internal static class SimdPaths
{
    /// <summary>The widest that the processor runs without throttling.</summary>
    public static SimdPath Best =>
        IsSupported(SimdPath.Vector512Vnni) && Vector512.IsHardwareAccelerated ? SimdPath.Vector512Vnni
        : IsSupported(SimdPath.Vector512) && Vector512.IsHardwareAccelerated ? SimdPath.Vector512
        : IsSupported(SimdPath.Vector256) ? SimdPath.Vector256
        : SimdPath.Vector128;

    public static bool IsSupported(SimdPath path) => path switch
    {
        SimdPath.Vector512Vnni => VnniSupport.IsSupported,
        SimdPath.Vector512 => Avx512F.IsSupported && Avx512BW.IsSupported,
        SimdPath.Vector256 => Avx2.IsSupported && Fma.IsSupported,
        _ => true,
    };

    /// <summary>What people call the path on this processor.</summary>
    public static string NameOf(SimdPath path) => path switch
    {
        SimdPath.Vector512Vnni => "AVX-512 VNNI",
        SimdPath.Vector512 => "AVX-512",
        SimdPath.Vector256 => AvxVnni.IsSupported ? "AVX2 VNNI" : "AVX2",
        _ when AdvSimd.IsSupported => "AdvSimd",
        _ when Vector128.IsHardwareAccelerated => "SSE",
        _ => "software vectors",
    };
}
