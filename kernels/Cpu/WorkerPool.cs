using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>
/// Threads that take the chunks of one job at a time, together with the thread that calls <see cref="Run{TJob}"/>. Forking and joining
/// allocates nothing and costs well under a microsecond while the threads spin. A thread without work spins, then yields its core to
/// whoever wants it, and parks after <see cref="AwakeMicroseconds"/>; and a call waits only for threads that have begun, never for one
/// that has yet to be scheduled: more threads than cores cost little.
/// </summary>
/// <remarks>
/// The threads are not pinned to cores. It gains nothing that can be measured, neither for one device nor for two in a process, and
/// where cores are shared it keeps a thread waiting for one core while another is free.
/// </remarks>
internal sealed unsafe class WorkerPool : IDisposable
{
    // Awake for longer than a layer's operations that one thread does, and than the last chunk of a large one: to wake a thread takes as
    // long again, and when they parked after 20 microseconds it was done 30 times a token.
    private const double SpinMicroseconds = 20, AwakeMicroseconds = 100;
    private const int SpinsPerClockRead = 16;

    // The gate word: the job's generation, whether it is open, and how many workers are inside.
    private const long Generation = 1L << 32;
    private const long GenerationMask = ~(Generation - 1);
    private const long Open = 1L << 31;
    private const long InsideMask = Open - 1;

    private static readonly long SpinTicks = Ticks(SpinMicroseconds), AwakeTicks = Ticks(AwakeMicroseconds);

    private readonly Thread[] _threads;
    private readonly Parking[] _parkings;
    private Shared _shared;

    /// <summary>Starts the threads.</summary>
    /// <param name="threads">How many take part, the calling thread included.</param>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threads);
        _parkings = new Parking[threads];
        for (int worker = 0; worker < threads; worker++)
            _parkings[worker] = new Parking();
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"kernel worker {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Threads that take part, the calling thread included.</summary>
    public int Threads => _parkings.Length;

    /// <summary>Threads that wait without using the processor.</summary>
    public int ParkedThreads => _parkings.Count(parking => parking.IsParked);

    /// <summary>Does every chunk of a job and returns when all are done. One thread at a time may call.</summary>
    public void Run<TJob>(TJob* job, int chunks)
        where TJob : unmanaged, IParallelJob
    {
        if (chunks <= 1 || _threads.Length == 0)
        {
            for (int chunk = 0; chunk < chunks; chunk++)
                job->Run(chunk, 0);
            return;
        }

        _shared.Job = job;
        _shared.RunChunk = &RunChunk<TJob>;
        _shared.Chunks = chunks;
        _shared.Next = 0;
        Interlocked.Exchange(ref _shared.Gate, (_shared.Gate & GenerationMask) + Generation + Open);
        int wanted = Math.Min(chunks, Threads);
        for (int worker = 1; worker < wanted; worker++)
            _parkings[worker].Wake();

        TakeChunks(0);
        if ((Interlocked.And(ref _shared.Gate, ~Open) & InsideMask) != 0)
            AwaitWorkers();
    }

    /// <summary>Ends the threads.</summary>
    public void Dispose()
    {
        Volatile.Write(ref _shared.Stopping, true);
        Interlocked.Add(ref _shared.Gate, Generation);
        foreach (Parking parking in _parkings)
            parking.Wake();
        foreach (Thread thread in _threads)
            thread.Join();
        foreach (Parking parking in _parkings)
            parking.Dispose();
    }

    private static void RunChunk<TJob>(void* job, int chunk, int worker)
        where TJob : unmanaged, IParallelJob => ((TJob*)job)->Run(chunk, worker);

    private void Work(int worker)
    {
        long seen = 0;
        while (true)
        {
            seen = AwaitGeneration(worker, seen);
            if (Volatile.Read(ref _shared.Stopping))
                return;
            if (!TryEnter(seen))
                continue;
            TakeChunks(worker);
            if ((Interlocked.Decrement(ref _shared.Gate) & (Open | InsideMask)) == 0)
                _parkings[0].Wake();
        }
    }

    private void TakeChunks(int worker)
    {
        int chunk;
        while ((chunk = Interlocked.Increment(ref _shared.Next) - 1) < _shared.Chunks)
            _shared.RunChunk(_shared.Job, chunk, worker);
    }

    // A job stays as it is while its gate is open or somebody is inside, so what the worker then reads of it is whole.
    private bool TryEnter(long generation)
    {
        while (true)
        {
            long gate = Volatile.Read(ref _shared.Gate);
            if ((gate & GenerationMask) != generation || (gate & Open) == 0)
                return false;
            if (Interlocked.CompareExchange(ref _shared.Gate, gate + 1, gate) == gate)
                return true;
        }
    }

    private long AwaitGeneration(int worker, long seen)
    {
        long begin = Stopwatch.GetTimestamp();
        while (true)
        {
            for (int spin = 0; spin < SpinsPerClockRead; spin++)
            {
                long generation = Volatile.Read(ref _shared.Gate) & GenerationMask;
                if (generation != seen)
                    return generation;
                Thread.SpinWait(1);
            }

            if (HasWaited(begin))
                _parkings[worker].Wait(ref _shared.Gate, GenerationMask, seen);
        }
    }

    private void AwaitWorkers()
    {
        long begin = Stopwatch.GetTimestamp();
        while (true)
        {
            long inside = 0;
            for (int spin = 0; spin < SpinsPerClockRead; spin++)
            {
                inside = Volatile.Read(ref _shared.Gate) & InsideMask;
                if (inside == 0)
                    return;
                Thread.SpinWait(1);
            }

            if (HasWaited(begin))
                _parkings[0].Wait(ref _shared.Gate, InsideMask, inside);
        }
    }

    // Whether it is time to park; before that, others may have the core.
    private static bool HasWaited(long begin)
    {
        long ticks = Stopwatch.GetTimestamp() - begin;
        if (ticks > AwakeTicks)
            return true;
        if (ticks > SpinTicks)
            Thread.Yield();
        return false;
    }

    private static long Ticks(double microseconds) => (long)(microseconds * Stopwatch.Frequency / 1e6);

    // What the threads share, each hot word on a cache line of its own (two lines, since processors prefetch in pairs).
    [StructLayout(LayoutKind.Explicit, Size = 512)]
    private struct Shared
    {
        [FieldOffset(128)]
        public long Gate;

        [FieldOffset(256)]
        public int Next;

        [FieldOffset(384)]
        public void* Job;

        [FieldOffset(392)]
        public delegate*<void*, int, int, void> RunChunk;

        [FieldOffset(400)]
        public int Chunks;

        [FieldOffset(404)]
        public bool Stopping;
    }
}
