using System.Diagnostics;
using System.Globalization;

namespace Llama3Cluster.Chaos;

/// <summary>One kind of fault, again and again, under load.</summary>
internal sealed class ChaosRun(ChaosOptions options, ChaosCluster cluster, Action<string> say)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly Random _random = new(options.Seed);
    private readonly List<TimeSpan> _pauses = [];
    private readonly List<string> _notes = [];
    private readonly List<string> _problems = [];
    private readonly List<Replay> _replays = [];

    /// <summary>Runs one kind of fault on a cluster of its own.</summary>
    public static async Task<ChaosReport> RunAsync(string fault, ChaosOptions options, Action<string> say)
    {
        options = options with { Proxied = fault is "partition" or "slow", Gateways = options.Gateways ?? (fault == "gateway" ? 2 : 1) };
        if (fault == "memory")
            return await MemoryRun.RunAsync(options, say);
        await using ChaosCluster cluster = await ChaosCluster.StartAsync(options);
        try
        {
            say($"{fault}: {options.Gateways} gateway(s) and {options.Nodes} nodes serve; learning the right answers");
            await using StreamLoad load = await StreamLoad.StartAsync(cluster, options.Streams, options.Tokens);
            return await new ChaosRun(options, cluster, say).RunAsync(fault, load);
        }
        finally
        {
            WriteLogs(options, fault, cluster);
        }
    }

    private async Task<ChaosReport> RunAsync(string fault, StreamLoad load)
    {
        int times = fault == "soak" ? 0 : options.Times ?? (fault switch { "kill" => 30, "gateway" => 10, _ => 3 });
        if (fault == "soak")
            await SoakAsync(load);
        for (int i = 1; i <= times; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            RowCounts before = await RowCounts.OfAsync(cluster);
            string what = await InjectAsync(fault);
            try
            {
                await cluster.UntilAllWorkAsync(Patience);
            }
            catch (TimeoutException error)
            {
                _problems.Add(error.Message);
                break;
            }

            TimeSpan whole = Stopwatch.GetElapsedTime(begin);
            await Task.Delay(options.Every * (0.5 + _random.NextDouble()));
            TimeSpan[] pauses = [.. load.Pauses(begin, Stopwatch.GetTimestamp())];
            _pauses.AddRange(pauses);
            if (fault == "kill" && before.Until(await RowCounts.SettledAsync(cluster)) is { } rows)
            {
                what += $" ({rows})";
                _replays.Add(rows);
            }

            say(string.Create(CultureInfo.InvariantCulture,
                $"{fault} {i} of {times}: {what}; longest pause {pauses.Max().TotalSeconds:0.00} s, all {cluster.Nodes.Count} nodes at work after {whole.TotalSeconds:0.0} s; {load.Completed} streams completed, {load.Failed} failed, {load.Different} differ"));
        }

        if (_replays.Count > 0)
            _notes.Add(Replay.Describe(_replays));
        ChaosReport report = await ChaosReport.OfAsync(fault, times, cluster, load, _pauses, _notes);
        return report with { Problems = [.. report.Problems, .. _problems] };
    }

    private async Task SoakAsync(StreamLoad load)
    {
        (IReadOnlyList<string> lines, string? problem) = await new Soak(cluster, say).RunAsync(options.Length, load);
        _notes.AddRange(lines);
        if (problem is not null)
            _problems.Add(problem);
    }

    private async Task<string> InjectAsync(string fault)
    {
        switch (fault)
        {
            case "kill":
                cluster.Kill(Victim());
                cluster.AddNode();
                return "a node was killed and started again";
            case "gateway":
                cluster.Restart(cluster.Gateways[_random.Next(cluster.Gateways.Count)]);
                return "a gateway was killed and started again";
            case "stop":
                return await StopAsync(Victim());
            case "partition":
                return await PartitionAsync(Victim());
            case "slow":
                (cluster.Network!.Delay, cluster.Network.BytesPerSecond) = (TimeSpan.FromMilliseconds(100), 1_000_000);
                await Task.Delay(options.Hold);
                (cluster.Network.Delay, cluster.Network.BytesPerSecond) = (TimeSpan.Zero, 0);
                return "every connection was slow";
            case "join":
                return await JoinAsync();
            case "leave":
                return await LeaveAsync(Victim());
            default:
                throw new ArgumentException($"unknown fault {fault}");
        }
    }

    private NodeProcess Victim() => cluster.Nodes[_random.Next(cluster.Nodes.Count)];

    private async Task<string> StopAsync(NodeProcess victim)
    {
        await victim.SignalAsync("STOP");
        await Task.Delay(options.Hold);
        await victim.SignalAsync("CONT");
        return $"a node stood still for {options.Hold.TotalSeconds:0} s; {await ReturnAsync(victim)}";
    }

    private async Task<string> PartitionAsync(NodeProcess victim)
    {
        cluster.Network!.Isolate(victim.Id);
        await Task.Delay(options.Hold);
        cluster.Network.Heal(victim.Id);
        return $"a node was cut off for {options.Hold.TotalSeconds:0} s; {await ReturnAsync(victim)}";
    }

    // A node that the cluster has removed ends, and its supervisor (systemd, Kubernetes; here we) starts it again.
    private async Task<string> ReturnAsync(NodeProcess victim)
    {
        try
        {
            await cluster.UntilAsync(
                async () => victim.HasExited || await cluster.AllWorkAsync(), TimeSpan.FromSeconds(40), "end or return of a node that was away");
        }
        catch (TimeoutException)
        {
            _notes.Add($"process {victim.Id} neither ended nor came back within 40 s; it was killed");
            victim.Kill();
        }

        if (!victim.HasExited)
            return "it came back";
        cluster.Forget(victim);
        cluster.AddNode();
        return "it had been removed, ended, and was started again";
    }

    private async Task<string> JoinAsync()
    {
        long begin = Stopwatch.GetTimestamp();
        cluster.AddNode();
        await cluster.UntilAllWorkAsync(Patience);
        string took = string.Create(CultureInfo.InvariantCulture, $"a node had work {Stopwatch.GetElapsedTime(begin).TotalSeconds:0.0} s after its process was started");
        _notes.Add(took);
        return took;
    }

    private async Task<string> LeaveAsync(NodeProcess victim)
    {
        long begin = Stopwatch.GetTimestamp();
        await victim.SignalAsync("TERM");
        int code = await victim.ExitAsync();
        cluster.Forget(victim);
        string took = string.Create(CultureInfo.InvariantCulture, $"a node ended with code {code} {Stopwatch.GetElapsedTime(begin).TotalSeconds:0.0} s after SIGTERM");
        _notes.Add(took);
        cluster.AddNode();
        return took;
    }

    private static void WriteLogs(ChaosOptions options, string fault, ChaosCluster cluster)
    {
        if (options.Logs is null)
            return;
        Directory.CreateDirectory(options.Logs);
        foreach ((int id, string output) in cluster.Outputs())
            File.WriteAllText(Path.Combine(options.Logs, $"{fault}-{id}.log"), output);
    }
}
