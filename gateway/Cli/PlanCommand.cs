using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>plan</c>: how a model would be cut over given devices.</summary>
internal static class PlanCommand
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    // A 10 Gbit/s network: what the simulation takes the links between nodes to be.
    private static readonly LinkAssumption Network = new(LatencySeconds: 100e-6, BytesPerSecond: 1.1e9);

    public static Command Create()
    {
        Option<string?> model = Opt.OptionalText("--model", "The model. Default: the demo model.", "PATH");
        Option<string[]> devices = Opt.Repeated("--devices", "Devices, as NODE=MEMORY or NODE=MEMORY@GB/s; a node may come several times: a=24GiB@1000 b=8GiB@400", "NODE=MEMORY");
        Option<string[]> links = Opt.Repeated("--links", "Slow links, as NODE~NODE=MILLISECONDS for the activations of a step: a~b=20. All others take no time", "NODE~NODE=MS");
        Option<int?> context = Opt.OptionalNumber("--context", 16, 1 << 24, "Positions of one sequence. Default: the model's.");
        Option<int> sequences = Opt.Number("--max-sequences", 64, 1, 65536, "Sequences that shall have room for their whole context, if memory allows.");
        Option<int?> stages = Opt.OptionalNumber("--stages", 1, 1026, "Exactly so many stages a pipeline. Default: the planner chooses.");
        Option<int?> replicas = Opt.OptionalNumber("--replicas", 1, 1024, "Pipelines at most. Default: as many as fit.");
        var cached = new ModelOptions();
        Option<bool> simulate = Opt.Flag("--simulate", "Print predicted tokens a second for 1 to 64 streams.");
        Option<bool> json = Opt.Flag("--json", "Print the plan as JSON.");
        var command = new Command("plan", "Print how a model would be cut over a list of devices, and why.")
        {
            model, devices, links, context, sequences, stages, replicas, cached.KvType, simulate, json,
        };
        command.SetAction(result =>
        {
            using ModelFile file = ModelFile.Open(result.GetValue(model) ?? DemoModel.Path);
            int positions = Math.Min(result.GetValue(context) ?? file.Config.ContextLength, file.Config.ContextLength);
            KvFormat kv = cached.KvFormatOf(result) ?? LocalModel.DefaultKvFormat(file);
            KvShape.Check(kv, file.Config.HeadDim);
            ClusterPlan plan = SlicePlanner.Plan(
                ModelProfile.From(file, kv), Parse(result.GetValue(devices)!),
                new PlannerOptions(positions, (int)Math.Min((long)positions * result.GetValue(sequences), int.MaxValue / 2), result.GetValue(stages), result.GetValue(replicas)),
                ParseLinks(result.GetValue(links)!));
            if (result.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(plan, Json));
            else
                Print(file, plan, result.GetValue(simulate) ? ModelProfile.From(file, kv).ActivationBytesPerToken : null);
            return plan.Replicas.Count > 0 ? 0 : 1;
        });
        return command;
    }

    private static List<PlannerDevice> Parse(string[] texts)
    {
        if (texts.Length == 0)
            throw new UsageException("name at least one device: --devices a=24GiB@1000 b=8GiB@400");
        var devices = new List<PlannerDevice>();
        foreach (string text in texts)
        {
            string[] halves = text.Split('=', 2), parts = halves[^1].Split('@', 2);
            double rate = 100;
            if (halves.Length != 2 || halves[0].Length == 0 || !ByteSizeParser.TryParse(parts[0], out long memory) || memory == 0
                || (parts.Length == 2 && !(double.TryParse(parts[1], NumberStyles.Float, CultureInfo.InvariantCulture, out rate) && rate > 0)))
            {
                throw new UsageException($"a device is NODE=MEMORY or NODE=MEMORY@GB/s, such as a=24GiB@1000, not \"{text}\"");
            }

            devices.Add(new PlannerDevice(halves[0], devices.Count(device => device.Node == halves[0]), text, memory, rate * 1e9));
        }

        return devices;
    }

    private static PlannerLinks ParseLinks(string[] texts)
    {
        var links = new Dictionary<(string, string), PlannerLink>();
        foreach (string text in texts)
        {
            string[] halves = text.Split('=', 2), nodes = halves[0].Split('~');
            Array.Sort(nodes, StringComparer.Ordinal);
            if (halves.Length != 2 || nodes.Length != 2 || nodes[0].Length == 0 || nodes[0] == nodes[1]
                || !double.TryParse(halves[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double milliseconds)
                || !(milliseconds > 0 && double.IsFinite(milliseconds)))
            {
                throw new UsageException($"a slow link is NODE~NODE=MILLISECONDS, such as a~b=20, not \"{text}\"");
            }

            if (!links.TryAdd((nodes[0], nodes[1]), new PlannerLink(nodes[0], nodes[1], milliseconds / 1000)))
                throw new UsageException($"the link between {nodes[0]} and {nodes[1]} is listed twice");
        }

        return new PlannerLinks(links.Values);
    }

    private static void Print(ModelFile file, ClusterPlan plan, long? simulatedActivationBytes)
    {
        AnsiConsole.MarkupLineInterpolated($"[bold]{file.Name}[/]: {file.Config.LayerCount} layers");
        for (int i = 0; i < plan.Replicas.Count; i++)
        {
            PlannedReplica replica = plan.Replicas[i];
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture,
                $"[bold]replica {i}[/]: {replica.KvBlocks} KV blocks ({replica.KvBlocks * KvShape.BlockSize} positions), predicted {replica.PredictedTokensPerSecond:0.0} tokens/s with the pipeline full");
            Table table = new Table().Border(TableBorder.Rounded).AddColumns("stage", "node", "device", "slice", "weights", "KV cache");
            for (int s = 0; s < replica.Stages.Count; s++)
            {
                PlannedStage stage = replica.Stages[s];
                table.AddRow(
                    s.ToString(CultureInfo.InvariantCulture), Markup.Escape(stage.Node), stage.DeviceIndex.ToString(CultureInfo.InvariantCulture),
                    Markup.Escape(stage.Slice.ToString()), ByteSize.Format(stage.WeightBytes), ByteSize.Format(stage.KvBytes));
            }

            AnsiConsole.Write(table);
            if (simulatedActivationBytes is { } bytes)
                Simulate(replica, bytes);
        }

        foreach (string reason in plan.Reasons)
            Console.WriteLine($"- {reason}");
    }

    private static void Simulate(PlannedReplica replica, long activationBytes)
    {
        Table table = new Table().Border(TableBorder.Rounded).AddColumns("streams", "tokens/s in all", "tokens/s each");
        foreach (int streams in (int[])[1, 2, 4, 8, 16, 32, 64])
        {
            PipelinePrediction prediction = PipelineSimulator.Predict(replica, activationBytes, Network, streams, replica.Stages.Count);
            table.AddRow(
                streams.ToString(CultureInfo.InvariantCulture), prediction.TokensPerSecond.ToString("0.0", CultureInfo.InvariantCulture),
                prediction.StreamTokensPerSecond.ToString("0.0", CultureInfo.InvariantCulture));
        }

        AnsiConsole.Write(table);
    }
}
