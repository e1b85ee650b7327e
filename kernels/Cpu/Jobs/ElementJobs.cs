using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Operations element by element over flat memory; a chunk is a run of <see cref="ChunkElements"/>.</summary>
internal static class ElementJobs
{
    public const int ChunkElements = 4096;

    public static int Chunks(long elements) => checked((int)((elements + ChunkElements - 1) / ChunkElements));
}

/// <summary>output = silu(gate) up.</summary>
internal unsafe struct SwiGluJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public float* Gate;
    public float* Up;
    public float* Output;
    public long Elements;

    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        long first = chunk * (long)ElementJobs.ChunkElements, end = Math.Min(first + ElementJobs.ChunkElements, Elements);
        long i = first;
        for (; i + TS.Count <= end; i += TS.Count)
            TS.Store(Output + i, TS.Multiply(LaneMath<TS, TV>.Silu(TS.Load(Gate + i)), TS.Load(Up + i)));
        if (i == end)
            return;
        TV gate = F32Loader.LoadPartial<TS, TV>((byte*)Gate, i, (int)(end - i)), up = F32Loader.LoadPartial<TS, TV>((byte*)Up, i, (int)(end - i));
        LaneMath<TS, TV>.StorePartial(Output + i, TS.Multiply(LaneMath<TS, TV>.Silu(gate), up), (int)(end - i));
    }
}

/// <summary>accumulator += addend.</summary>
internal unsafe struct AddJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    public float* Accumulator;
    public float* Addend;
    public long Elements;

    [MethodImpl(Jit.Alone)]
    public readonly void Run(int chunk, int worker)
    {
        long first = chunk * (long)ElementJobs.ChunkElements, end = Math.Min(first + ElementJobs.ChunkElements, Elements);
        long i = first;
        for (; i + TS.Count <= end; i += TS.Count)
            TS.Store(Accumulator + i, TS.Add(TS.Load(Accumulator + i), TS.Load(Addend + i)));
        for (; i < end; i++)
            Accumulator[i] += Addend[i];
    }
}
