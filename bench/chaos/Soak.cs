using System.Diagnostics;
using System.Globalization;

namespace Llama3Cluster.Chaos;

/// <summary>Load without faults: samples what every process holds, and compares the last sixth of the time with the first.</summary>
internal sealed class Soak(ChaosCluster cluster, Action<string> say)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    // Compilation, pools and caches settle first.
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(60);

    private readonly Dictionary<int, List<Sample>> _samples = [];

    private readonly record struct Sample(TimeSpan At, long ResidentBytes, int Handles, int Threads);

    /// <summary>Runs for so long, or until a process ends.</summary>
    /// <returns>Each process in a line; and which one has ended, and what it said last, or null if all went on to the end.</returns>
    public async Task<(IReadOnlyList<string> Lines, string? Problem)> RunAsync(TimeSpan length, StreamLoad load)
    {
        long begin = Stopwatch.GetTimestamp(), tokens = load.Tokens;
        string? problem = null;
        await Task.Delay(Settle < length / 4 ? Settle : length / 4);
        while (Stopwatch.GetElapsedTime(begin) < length)
        {
            if (cluster.Processes.FirstOrDefault(process => process.HasExited) is { } ended)
            {
                problem = string.Create(CultureInfo.InvariantCulture,
                    $"process {ended.Id} ended after {Stopwatch.GetElapsedTime(begin).TotalMinutes:0.0} min: {string.Join(" | ", ended.Output.TrimEnd().Split('\n').TakeLast(3))}");
                break;
            }

            foreach (NodeProcess process in cluster.Processes)
                Take(process.Id, Stopwatch.GetElapsedTime(begin));
            await Task.Delay(Interval);
            if ((int)Stopwatch.GetElapsedTime(begin).TotalSeconds % 60 < Interval.TotalSeconds)
                say(string.Create(CultureInfo.InvariantCulture, $"soak: {Stopwatch.GetElapsedTime(begin).TotalMinutes:0} min, {load.Completed} streams completed, {load.Tokens - tokens} tokens"));
        }

        return ([.. _samples.Select(pair => Describe(pair.Key, pair.Value))], problem);
    }

    private static string Describe(int process, List<Sample> samples)
    {
        int part = Math.Max(samples.Count / 6, 1);
        (double first, double last) = (Median(samples.Take(part)), Median(samples.TakeLast(part)));
        return string.Create(CultureInfo.InvariantCulture,
            $"process {process}: {first / (1 << 20):0.0} MiB in the first sixth, {last / (1 << 20):0.0} MiB in the last ({100 * ((last / first) - 1):+0.0;-0.0} %); handles {samples[0].Handles} to {samples[^1].Handles} (most {samples.Max(sample => sample.Handles)}), threads {samples[0].Threads} to {samples[^1].Threads}");
    }

    private static double Median(IEnumerable<Sample> samples)
    {
        long[] sorted = [.. samples.Select(sample => sample.ResidentBytes).Order()];
        return sorted[sorted.Length / 2];
    }

    private void Take(int id, TimeSpan at)
    {
        if (!_samples.TryGetValue(id, out List<Sample>? samples))
            _samples[id] = samples = [];
        using Process process = Process.GetProcessById(id);
        samples.Add(new Sample(at, process.WorkingSet64, Directory.GetFiles($"/proc/{id}/fd").Length, process.Threads.Count));
    }
}
