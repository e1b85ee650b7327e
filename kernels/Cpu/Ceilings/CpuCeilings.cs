using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>
/// What this machine can do at most, as measured with so many threads: how fast memory is read, and how fast numbers that are in
/// registers already are multiplied and added. A kernel's speed means something beside these.
/// </summary>
/// <param name="Threads">Threads that measured, and that the rates belong to.</param>
/// <param name="Vectors">The vector instructions that measured, such as <c>AVX-512</c>: those that <see cref="CpuDevice"/> uses.</param>
/// <param name="ReadBytesPerSecond">Reading far more memory than any cache holds.</param>
/// <param name="ByteOperationsPerSecond">Products of bytes summed in 32 bits; a multiply-add counts as two operations.</param>
/// <param name="WordOperationsPerSecond">Products of 16-bit words summed in 32 bits, counted likewise.</param>
/// <param name="FloatOperationsPerSecond">Single-precision fused multiply-adds, counted likewise.</param>
public sealed unsafe record CpuCeilings(
    int Threads, string Vectors, double ReadBytesPerSecond, double ByteOperationsPerSecond, double WordOperationsPerSecond,
    double FloatOperationsPerSecond)
{
    private const int LeastPasses = 3, MostPasses = 15;
    private const long LeastReadBytes = 64L << 20, MostReadBytes = 1L << 30, LeastReadBytesOfThread = 32L << 20;
    private const int ChunksPerThread = 16;

    private static readonly TimeSpan TimeOfOne = TimeSpan.FromSeconds(0.3);

    /// <summary>Measures for a second or two, with all of the threads busy.</summary>
    /// <param name="threads">Threads, the calling one included; 0 for one a core.</param>
    public static CpuCeilings Measure(int threads = 0)
    {
        using WorkerPool pool = Start(threads);
        return SimdPaths.Best switch
        {
            SimdPath.Vector512Vnni => Measure<Lanes512, Vector512<float>>(
                pool, () => MultiplyVnni(pool, (code, sum, a, b) => code.DotBytes(sum, a, b), 4),
                () => MultiplyVnni(pool, (code, sum, a, b) => code.DotWords(sum, a, b), 2)),
            SimdPath.Vector512 => Measure<Lanes512, Vector512<float>, ByteChain512>(pool),
            SimdPath.Vector256 => Measure<Lanes256, Vector256<float>, ByteChain256>(pool),
            _ => Measure<Lanes128, Vector128<float>, ByteChain128>(pool),
        };
    }

    /// <summary>
    /// Measures for half a second how fast memory is read at best: the fastest pass counts, since whatever else the machine does
    /// meanwhile only slows one down. What is read is more than the caches hold.
    /// </summary>
    /// <param name="threads">Threads, the calling one included; 0 for one a core.</param>
    /// <returns>Bytes a second.</returns>
    public static double MeasureRead(int threads = 0)
    {
        using WorkerPool pool = Start(threads);
        long bytes = Math.Min(Math.Max(pool.Threads * LeastReadBytesOfThread, CacheSize.Largest() / 4 * 5), MostReadBytes);
        return SimdPaths.Best switch
        {
            SimdPath.Vector512 or SimdPath.Vector512Vnni => Read<Lanes512, Vector512<float>>(pool, bytes, seconds => seconds[0]),
            SimdPath.Vector256 => Read<Lanes256, Vector256<float>>(pool, bytes, seconds => seconds[0]),
            _ => Read<Lanes128, Vector128<float>>(pool, bytes, seconds => seconds[0]),
        };
    }

    /// <summary>The ceiling of the numbers that weights of a format are multiplied in.</summary>
    public double OperationsPerSecond(WeightFormat format) => format switch
    {
        WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16 => FloatOperationsPerSecond,
        WeightFormat.Q8_0 => WordOperationsPerSecond,
        _ => ByteOperationsPerSecond,
    };

    private static WorkerPool Start(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        return new WorkerPool(threads == 0 ? Environment.ProcessorCount : threads);
    }

    private static CpuCeilings Measure<TLanes, TV, TBytes>(WorkerPool pool)
        where TLanes : unmanaged, ILanes<TV>
        where TV : unmanaged
        where TBytes : unmanaged, IMultiplyAddChain<TV> => Measure<TLanes, TV>(
            pool, () => Multiply<TLanes, TV, TBytes>(pool), () => Multiply<TLanes, TV, WordChain<TLanes, TV>>(pool));

    private static CpuCeilings Measure<TLanes, TV>(WorkerPool pool, Func<double> bytes, Func<double> words)
        where TLanes : unmanaged, ILanes<TV>
        where TV : unmanaged => new(
            pool.Threads, SimdPaths.NameOf(SimdPaths.Best), Read<TLanes, TV>(pool, MostReadBytes, Median), bytes(), words(),
            Multiply<TLanes, TV, FloatChain<TLanes, TV>>(pool));

    private static double MultiplyVnni(WorkerPool pool, Action<Assembler, Zmm, Zmm, Zmm> instruction, int productsPerLane)
    {
        int chunks = pool.Threads * ChunksPerThread;
        var job = new VnniChainJob(VnniChainJob.Keep(instruction), productsPerLane);
        return job.Operations * chunks / Median(Seconds(pool, &job, chunks));
    }

    private static double Multiply<TLanes, TV, TChain>(WorkerPool pool)
        where TLanes : unmanaged, ILanes<TV>
        where TV : unmanaged
        where TChain : unmanaged, IMultiplyAddChain<TV>
    {
        using var sinks = new Scratch();
        int chunks = pool.Threads * ChunksPerThread;
        var job = new ChainJob<TLanes, TV, TChain>((float*)sinks.Take((long)chunks * sizeof(TV)));
        return ChainJob<TLanes, TV, TChain>.Operations * chunks / Median(Seconds(pool, &job, chunks));
    }

    private static double Read<TLanes, TV>(WorkerPool pool, long wanted, Func<List<double>, double> choose)
        where TLanes : unmanaged, ILanes<TV>
        where TV : unmanaged
    {
        // An eighth of the memory there is, so that measuring never pushes a model out of the page cache.
        long bytes = Math.Max(Math.Min(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 8, wanted), LeastReadBytes);
        int chunks = (int)(bytes / ReadJob<TLanes, TV>.ChunkBytes);
        bytes = (long)chunks * ReadJob<TLanes, TV>.ChunkBytes;
        using var sinks = new Scratch();
        byte* data = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        try
        {
            // Pages that were never written are all the same page of zeros, which a cache holds.
            var fill = new FillJob(data, ReadJob<TLanes, TV>.ChunkBytes);
            pool.Run(&fill, chunks);
            var job = new ReadJob<TLanes, TV>(data, (float*)sinks.Take((long)chunks * sizeof(TV)));
            return bytes / choose(Seconds(pool, &job, chunks));
        }
        finally
        {
            NativeMemory.AlignedFree(data);
        }
    }

    private static double Median(List<double> sorted) => sorted[sorted.Count / 2];

    // What each pass took, the fastest first.
    private static List<double> Seconds<TJob>(WorkerPool pool, TJob* job, int chunks)
        where TJob : unmanaged, IParallelJob
    {
        pool.Run(job, chunks); // compiles the job, wakes the threads, raises the clock
        var seconds = new List<double>(MostPasses);
        long begin = Stopwatch.GetTimestamp();
        while (seconds.Count < LeastPasses || (seconds.Count < MostPasses && Stopwatch.GetElapsedTime(begin) < TimeOfOne))
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(job, chunks);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        seconds.Sort();
        return seconds;
    }
}
