using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Shards.Planning;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>status</c>: the cluster as a gateway sees it.</summary>
internal static class StatusCommand
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static Command Create()
    {
        Option<string> url = Opt.Text("--url", "http://127.0.0.1:8080", "A gateway's HTTP endpoint.", "URL");
        Option<string?> key = Opt.OptionalText("--api-key", "The gateway's API key, if it asks for one.", "KEY");
        Option<bool> json = Opt.Flag("--json", "Print what the gateway answers, as JSON.");
        Option<bool> watch = Opt.Flag("--watch", "Print it again every second until interrupted.");
        var command = new Command("status", "Print nodes, slices, epochs, KV cache use and token rate of a running cluster.") { url, key, json, watch };
        command.SetAction(async (result, cancellation) =>
        {
            using var client = new HttpClient { BaseAddress = new Uri(result.GetValue(url)!), Timeout = TimeSpan.FromSeconds(10) };
            if (result.GetValue(key) is { } secret)
                client.DefaultRequestHeaders.Authorization = new("Bearer", secret);
            do
            {
                string answer = await FetchAsync(client, cancellation).ConfigureAwait(false);
                if (result.GetValue(json))
                    Console.WriteLine(answer);
                else
                    Print(JsonSerializer.Deserialize<ClusterSnapshot>(answer, Json)!);
                if (result.GetValue(watch))
                    await Task.Delay(1000, cancellation).ConfigureAwait(false);
            }
            while (result.GetValue(watch));
            return 0;
        });
        return command;
    }

    private static async Task<string> FetchAsync(HttpClient client, CancellationToken cancellation)
    {
        try
        {
            using HttpResponseMessage response = await client.GetAsync(new Uri("/cluster", UriKind.Relative), cancellation).ConfigureAwait(false);
            string body = await response.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
            return response.IsSuccessStatusCode ? body : throw new UsageException($"{client.BaseAddress} answered {(int)response.StatusCode}: {body}");
        }
        catch (HttpRequestException error)
        {
            throw new UsageException($"no gateway answers at {client.BaseAddress}: {error.Message} Start one with \"llama3cluster serve\", or give its address with --url.");
        }
    }

    private static void Print(ClusterSnapshot snapshot)
    {
        AnsiConsole.MarkupLineInterpolated($"[bold]{snapshot.Model}[/]: {(snapshot.Ready ? "ready" : "not ready")}");
        Table nodes = NewTable("node", "roles", "status", "devices");
        foreach (NodeSnapshot node in snapshot.Nodes)
        {
            string devices = node.Problem ?? string.Join("\n", node.Devices.Select(device => $"{device.Index}: {device.Name}, {ByteSize.Format(device.MemoryBytes)}"));
            if (node.Weights is { } weights)
                devices += $"\nweights: {ByteSize.Format(weights.HeldBytes)} of {ByteSize.Format(weights.ModelBytes)} here, {ByteSize.Format(weights.ReceivedBytes)} fetched from other nodes";
            AddRow(nodes, node.Address, string.Join(", ", node.Roles), node.Status, devices);
        }

        AnsiConsole.Write(nodes);
        foreach (ReplicaSnapshot replica in snapshot.Replicas)
        {
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture,
                $"[bold]{replica.Id}[/] epoch {replica.Epoch}: {replica.State}, {replica.Running} running, {replica.Waiting} waiting, KV {replica.KvBlocksUsed} of {replica.KvBlocks} blocks, {replica.TokensPerSecond:0.0} tokens/s");
            Table stages = NewTable("stage", "node", "slice", "device", "state");
            for (int i = 0; i < replica.Stages.Count; i++)
            {
                StageSnapshot stage = replica.Stages[i];
                string state = stage.State == "loading" ? string.Create(CultureInfo.InvariantCulture, $"loading {100 * stage.LoadedFraction:0} %") : stage.State;
                AddRow(stages, i.ToString(CultureInfo.InvariantCulture), stage.Node, Describe(stage), stage.Device, state);
            }

            AnsiConsole.Write(stages);
        }

        foreach (string reason in snapshot.Reasons)
            AnsiConsole.MarkupLineInterpolated($"[grey]- {reason}[/]");
    }

    private static string Describe(StageSnapshot stage) =>
        new Shards.Slices.SliceRange(stage.FirstLayer, stage.LastLayer, stage.HasEmbedding, stage.HasHead).ToString();

    private static Table NewTable(params string[] columns) => new Table().Border(TableBorder.Rounded).AddColumns(columns);

    private static void AddRow(Table table, params string[] cells) => table.AddRow([.. cells.Select(Markup.Escape)]);
}
