using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>Multiply-adds in registers: as many independent chains as hide an instruction's latency and still fit 16 registers.</summary>
/// <param name="sinks">A vector a chunk, for results that must not be left out.</param>
internal readonly unsafe struct ChainJob<TLanes, TV, TChain>(float* sinks) : IParallelJob
    where TLanes : unmanaged, ILanes<TV>
    where TV : unmanaged
    where TChain : unmanaged, IMultiplyAddChain<TV>
{
    private const int Chains = 12, Steps = 20_000;

    /// <summary>Operations of a chunk, two a multiply-add.</summary>
    public static double Operations => 2.0 * TChain.ProductsPerLane * TLanes.Count * Chains * Steps;

    [MethodImpl(Jit.Alone)]
    public void Run(int chunk, int worker)
    {
        TV factor = TLanes.Splat(0.49f);
        TV a = TLanes.Splat(1), b = TLanes.Splat(2), c = TLanes.Splat(3), d = TLanes.Splat(4), e = TLanes.Splat(5), f = TLanes.Splat(6);
        TV g = TLanes.Splat(7), h = TLanes.Splat(8), i = TLanes.Splat(9), j = TLanes.Splat(10), k = TLanes.Splat(11), l = TLanes.Splat(12);
        for (int step = 0; step < Steps; step++)
        {
            a = TChain.Next(a, factor);
            b = TChain.Next(b, factor);
            c = TChain.Next(c, factor);
            d = TChain.Next(d, factor);
            e = TChain.Next(e, factor);
            f = TChain.Next(f, factor);
            g = TChain.Next(g, factor);
            h = TChain.Next(h, factor);
            i = TChain.Next(i, factor);
            j = TChain.Next(j, factor);
            k = TChain.Next(k, factor);
            l = TChain.Next(l, factor);
        }

        TV first = TLanes.Add(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)), TLanes.Add(e, f));
        TV second = TLanes.Add(TLanes.Add(TLanes.Add(g, h), TLanes.Add(i, j)), TLanes.Add(k, l));
        TLanes.Store(sinks + ((long)chunk * TLanes.Count), TLanes.Add(first, second));
    }
}
