using System.Runtime.CompilerServices;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>How the just-in-time compiler has to treat the inner loops.</summary>
internal static class Jit
{
    /// <summary>
    /// Fully optimized at the first call, and by itself. Inlined into a caller that is compiled from a profile, a loop would share
    /// registers with its siblings there, and be taken for cold code if the profile was made while another shape was run: a third of
    /// the speed, depending on what a process did first.
    /// </summary>
    public const MethodImplOptions Alone = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}
