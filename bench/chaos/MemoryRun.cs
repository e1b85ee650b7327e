using System.Globalization;
using System.Net;
using System.Net.Http.Json;

namespace Llama3Cluster.Chaos;

/// <summary>A model that needs the memory of three nodes: refused with two, with the numbers, and served when the third joins.</summary>
internal static class MemoryRun
{
    // The demo model with this cache needs 4.8 MiB: two nodes have 4.3, three are enough.
    private const string NodeMemory = "2200KiB";

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, Action<string> say)
    {
        options = options with
        {
            Nodes = 0,
            Streams = 1,
            GatewayArguments = [.. options.GatewayArguments, "--context", "512", "--kv-tokens", "1024"],
        };
        await using ChaosCluster cluster = await ChaosCluster.StartAsync(options);
        var notes = new List<string>();
        var problems = new List<string>();
        cluster.AddNode("--memory", NodeMemory);
        cluster.AddNode("--memory", NodeMemory);
        string refusal = "";
        await cluster.UntilAsync(async () =>
        {
            using HttpResponseMessage answer = await AskAsync(cluster);
            refusal = await answer.Content.ReadAsStringAsync();
            return answer.StatusCode == HttpStatusCode.ServiceUnavailable && refusal.Contains("does not fit", StringComparison.Ordinal);
        }, TimeSpan.FromSeconds(60), "refusal with two nodes");
        notes.Add($"with two nodes: 503 {refusal}");
        say(notes[^1]);

        cluster.AddNode("--memory", NodeMemory);
        await cluster.UntilAllWorkAsync(TimeSpan.FromSeconds(60));
        using HttpResponseMessage served = await AskAsync(cluster);
        notes.Add(string.Create(CultureInfo.InvariantCulture, $"with three nodes: {(int)served.StatusCode}"));
        if (!served.IsSuccessStatusCode)
            problems.Add($"three nodes answered {(int)served.StatusCode}");
        return new ChaosReport
        {
            Fault = "memory",
            Faults = 1,
            Completed = served.IsSuccessStatusCode ? 1 : 0,
            Failed = served.IsSuccessStatusCode ? 0 : 1,
            Different = 0,
            Resumptions = 0,
            Pauses = [],
            StaleFrames = 0,
            KvBlocksUsed = 0,
            Running = 0,
            Waiting = 0,
            Notes = notes,
            Problems = problems,
        };
    }

    private static Task<HttpResponseMessage> AskAsync(ChaosCluster cluster) => cluster.Gateways[0].Http.PostAsJsonAsync(
        "/v1/completions", new { model = "demo", prompt = "Once upon a time", max_tokens = 20, temperature = 0 });
}
