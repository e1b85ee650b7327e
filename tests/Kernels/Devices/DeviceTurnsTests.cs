using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Tests.Devices;

public sealed class DeviceTurnsTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void Whoever_waits_must_come_before_one_who_asks_again()
    {
        const int Rounds = 300;
        var turns = new DeviceTurns();
        var order = new List<string>();
        using var start = new SemaphoreSlim(0);
        using var done = new SemaphoreSlim(0);
        int asking = 0;
        var other = new Thread(() =>
        {
            for (int round = 1; round <= Rounds; round++)
            {
                start.Wait();
                Volatile.Write(ref asking, round);
                using (turns.Take())
                    order.Add("waiting");
                done.Release();
            }
        });
        other.Start();

        for (int round = 1; round <= Rounds; round++)
        {
            using (turns.Take())
            {
                start.Release();
                Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref asking) == round && other.ThreadState.HasFlag(ThreadState.WaitSleepJoin), Patience));
                order.Add("first");
            }

            using (turns.Take())
                order.Add("again");
            Assert.True(done.Wait(Patience));
        }

        Assert.Equal(Enumerable.Repeat<string[]>(["first", "waiting", "again"], Rounds).SelectMany(names => names), order);
        Assert.True(other.Join(Patience));
    }

    [Fact]
    public void Two_turns_must_never_overlap()
    {
        const int Threads = 4, Turns = 2000;
        var turns = new DeviceTurns();
        int inside = 0, overlaps = 0, taken = 0;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < Turns; i++)
            {
                using DeviceTurns.Turn turn = turns.Take();
                if (++inside != 1)
                    overlaps++;
                taken++;
                inside--;
            }
        }))];

        Array.ForEach(threads, thread => thread.Start());
        Assert.All(threads, thread => Assert.True(thread.Join(Patience)));

        Assert.Equal((0, Threads * Turns), (overlaps, taken));
    }

    [Fact]
    public void A_turn_must_end_when_its_use_fails()
    {
        var turns = new DeviceTurns();

        Assert.Throws<InvalidOperationException>(() => turns.During<int>(() => throw new InvalidOperationException()));

        Assert.Equal(3, turns.During(() => 3));
    }
}
