using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>Asks for memory before it is needed, where the processor's own prefetching cannot know: paged blocks follow each other nowhere.</summary>
internal static unsafe class Prefetch
{
    /// <summary>
    /// Asks for a cache line in the second-level cache: the first level has too few places for lines on their way to wait for memory.
    /// Any address will do, even one that cannot be read.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(address);
    }
}
