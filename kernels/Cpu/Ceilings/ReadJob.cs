using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>Reads memory front to back and adds it up, which takes less time than the reading.</summary>
/// <param name="data">Whole chunks.</param>
/// <param name="sinks">A vector a chunk, for results that must not be left out.</param>
internal readonly unsafe struct ReadJob<TLanes, TV>(byte* data, float* sinks) : IParallelJob
    where TLanes : unmanaged, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>Bytes that one thread reads in one go.</summary>
    public const int ChunkBytes = 4 << 20;

    [MethodImpl(Jit.Alone)]
    public void Run(int chunk, int worker)
    {
        float* next = (float*)(data + ((long)chunk * ChunkBytes)), end = next + (ChunkBytes / sizeof(float));
        TV a = TLanes.Splat(0), b = a, c = a, d = a;
        for (; next < end; next += 4 * TLanes.Count)
        {
            a = TLanes.AddIntegers(a, TLanes.Load(next));
            b = TLanes.AddIntegers(b, TLanes.Load(next + TLanes.Count));
            c = TLanes.AddIntegers(c, TLanes.Load(next + (2 * TLanes.Count)));
            d = TLanes.AddIntegers(d, TLanes.Load(next + (3 * TLanes.Count)));
        }

        TLanes.Store(sinks + ((long)chunk * TLanes.Count), TLanes.AddIntegers(TLanes.AddIntegers(a, b), TLanes.AddIntegers(c, d)));
    }
}

/// <summary>Writes memory once, each chunk by a thread.</summary>
internal readonly unsafe struct FillJob(byte* data, int chunkBytes) : IParallelJob
{
    public void Run(int chunk, int worker) => new Span<byte>(data + ((long)chunk * chunkBytes), chunkBytes).Fill(1);
}
