using Llama3Cluster.Kernels.Cpu;

namespace Llama3Cluster.Kernels.Tests.Cpu;

public unsafe class WorkerPoolTests
{
    private const int Rounds = 50;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(64)]
    public void Run_must_do_every_chunk_once(int threads)
    {
        using var pool = new WorkerPool(threads);
        var counts = new int[1000];
        fixed (int* first = counts)
        {
            var job = new CountJob { Counts = first };
            for (int round = 1; round <= 500; round++)
            {
                int chunks = round * 2;
                pool.Run(&job, chunks);

                // Chunk i runs in every round with 2 round > i.
                Assert.Equal(round, counts[0]);
                Assert.Equal(1, counts[chunks - 1]);
                Assert.Equal(chunks < 1000 ? 0 : 1, counts[Math.Min(chunks, 999)]);
            }
        }

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => 500 - (i / 2)), counts);
    }

    [Fact]
    public void Runs_in_quick_succession_must_not_mix()
    {
        // More threads than cores, so that many arrive when their job is over and the next one is being set up.
        using var pool = new WorkerPool(8);
        var counts = new int[2];
        fixed (int* first = counts)
        {
            for (int round = 1; round <= 30_000; round++)
            {
                var job = new CountJob { Counts = first };
                pool.Run(&job, 2);
                Assert.Equal((round, round), (counts[0], counts[1]));
            }
        }
    }

    [Fact]
    public void Any_number_of_threads_must_do_the_same_work()
    {
        // One to many more than cores; two pools at a time, as two devices in a process have them.
        for (int threads = 1; threads <= 64; threads++)
        {
            using var pool = new WorkerPool(threads);
            using var other = new WorkerPool(65 - threads);
            Thread beside = new(() => CountRounds(other, chunks: 100));
            beside.Start();
            int[] counts = CountRounds(pool, chunks: 100);
            Assert.True(beside.Join(Patience), $"{65 - threads} threads did not end");
            Assert.Equal(Enumerable.Repeat(Rounds, 100), counts);
        }
    }

    [Fact]
    public void A_worker_must_do_one_chunk_at_a_time_under_its_own_number()
    {
        const int Threads = 5;
        using var pool = new WorkerPool(Threads);
        var busy = new int[Threads];
        int clashes = 0;
        fixed (int* first = busy)
        {
            var job = new ExclusiveJob { Busy = first, Threads = Threads, Clashes = &clashes };
            for (int round = 0; round < 200; round++)
                pool.Run(&job, 40);
        }

        Assert.Equal(0, clashes);
    }

    [Fact]
    public void Every_thread_must_take_part_when_there_is_work_for_all()
    {
        const int Threads = 3;
        using var pool = new WorkerPool(Threads);
        int arrived = 0;

        // Each chunk waits for all the others: no thread can do two of them.
        var job = new RendezvousJob { Arrived = &arrived, Expected = Threads, Deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds };
        pool.Run(&job, Threads);
        Assert.Equal(Threads, arrived);
        Assert.True(job.Deadline > Environment.TickCount64, "the threads waited in vain for each other");
    }

    [Fact]
    public void Idle_threads_must_park_and_wake_again()
    {
        const int Threads = 4;
        using var pool = new WorkerPool(Threads);
        for (int round = 0; round < 20; round++)
        {
            Assert.True(SpinWait.SpinUntil(() => pool.ParkedThreads == Threads - 1, Patience), $"{pool.ParkedThreads} threads are parked");
            int arrived = 0;
            var job = new RendezvousJob { Arrived = &arrived, Expected = 2, Deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds };
            pool.Run(&job, 2);
            Assert.Equal(2, arrived);
        }
    }

    [Fact]
    public void Dispose_must_end_the_threads_whether_parked_or_not()
    {
        for (int round = 0; round < 50; round++)
        {
            var pool = new WorkerPool(3);
            if (round % 2 == 0)
                Assert.True(SpinWait.SpinUntil(() => pool.ParkedThreads == 2, Patience));
            Thread ending = new(pool.Dispose);
            ending.Start();
            Assert.True(ending.Join(Patience), "a thread did not end");
        }
    }

    [Fact]
    public void A_pool_of_no_threads_must_be_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => new WorkerPool(0));

    private static int[] CountRounds(WorkerPool pool, int chunks)
    {
        var counts = new int[chunks];
        fixed (int* first = counts)
        {
            var job = new CountJob { Counts = first };
            for (int round = 0; round < Rounds; round++)
                pool.Run(&job, chunks);
        }

        return counts;
    }

    private struct CountJob : IParallelJob
    {
        public int* Counts;

        public readonly void Run(int chunk, int worker) => Interlocked.Increment(ref Counts[chunk]);
    }

    private struct ExclusiveJob : IParallelJob
    {
        public int* Busy;
        public int Threads;
        public int* Clashes;

        public readonly void Run(int chunk, int worker)
        {
            if ((uint)worker >= (uint)Threads || Interlocked.Exchange(ref Busy[worker], 1) != 0)
                Interlocked.Increment(ref *Clashes);
            Thread.SpinWait(20);
            Volatile.Write(ref Busy[worker], 0);
        }
    }

    private struct RendezvousJob : IParallelJob
    {
        public int* Arrived;
        public int Expected;
        public long Deadline;

        public readonly void Run(int chunk, int worker)
        {
            Interlocked.Increment(ref *Arrived);
            while (Volatile.Read(ref *Arrived) < Expected && Environment.TickCount64 < Deadline)
                Thread.Yield();
        }
    }
}
