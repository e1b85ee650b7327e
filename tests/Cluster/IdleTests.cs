using System.Diagnostics;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>A server that nobody asks anything must leave the processor to others.</summary>
public sealed class IdleTests
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(4);

    // Start-up work (compilation above all) may fill the first windows; a thread that polls or spins fills them all.
    private const int Windows = 15;
    private const double MostOfACore = 0.05;

    [Fact]
    public async Task An_idle_server_must_take_less_than_a_twentieth_of_a_core()
    {
        await using SingleProcess server = await SingleProcess.StartAsync();
        using Process process = Process.GetProcessById(server.Process.Id);

        double share = 1;
        for (int window = 0; window < Windows && share >= MostOfACore; window++)
            share = await ShareOfACoreAsync(process);

        Assert.InRange(share, 0, MostOfACore);
    }

    private static async Task<double> ShareOfACoreAsync(Process process)
    {
        process.Refresh();
        TimeSpan before = process.TotalProcessorTime;
        long start = Stopwatch.GetTimestamp();
        await Task.Delay(Window);
        process.Refresh();
        return (process.TotalProcessorTime - before) / Stopwatch.GetElapsedTime(start);
    }
}
