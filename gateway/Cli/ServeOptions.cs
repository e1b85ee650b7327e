using System.CommandLine;
using System.Globalization;
using System.Net;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The options of <c>serve</c>.</summary>
internal sealed class ServeOptions
{
    public ModelOptions Model { get; } = new();

    public NodeOptions Node { get; } = new("127.0.0.1:9090");

    public Option<IPEndPoint> Http { get; } = Opt.Endpoint("--http", "127.0.0.1:8080", "Where the HTTP API and the web page listen.");

    public Option<IPEndPoint> Tcp { get; } = Opt.Endpoint("--tcp", "127.0.0.1:8081", "Where the TCP endpoint for .NET clients listens.");

    public Option<int?> Stages { get; } = Opt.OptionalNumber("--stages", 0, 1026, "Stages in this process; 0 leaves all work to other nodes. Default: one a GPU, else one on the processor: to cut a model within a processor makes one answer slower and gains nothing, except to see a pipeline at work.");

    public Option<string?> Name { get; } = Opt.OptionalText("--name", "The model's id in the APIs. Default: its file's or folder's name.", "ID");

    public Option<int?> Context { get; } = Opt.OptionalNumber("--context", 16, 1 << 24, "Most tokens of prompt and answer together. Default: the model's, at most 32768.");

    public Option<int> MaxRows { get; } = Opt.Number("--max-rows", 256, 1, 8192, "Most rows of one step, that is the size of a prefill chunk.");

    public Option<int> MaxSequences { get; } = Opt.Number("--max-sequences", 64, 1, 4096, "Most requests that a pipeline computes at one time.");

    public Option<int> MaxWaiting { get; } = Opt.Number("--max-waiting", 256, 1, 1_000_000, "Most requests that wait; the next one gets 429.");

    public Option<int?> KvTokens { get; } = Opt.OptionalNumber("--kv-tokens", 16, int.MaxValue / 2, "Most tokens in a pipeline's KV cache. Default: --max-sequences whole contexts, as far as memory reaches.");

    public Option<string> Replicas { get; } = Opt.Text("--replicas", "1", "Pipelines to build from the nodes that join; their devices are dealt out evenly. auto builds as many as the devices' memory holds.", "N|auto");

    public Option<string> Activations { get; } = Opt.Choice("--activations", "f32", "How activations travel between nodes: f32 is exact, bf16 halves the traffic.", "f32", "bf16");

    public Option<string[]> ApiKeys { get; } = Opt.Repeated("--api-key", $"Key that clients must send; better set as {Settings.EnvironmentPrefix}API_KEY. Required beyond loopback.", "KEY");

    public Option<string[]> CorsOrigins { get; } = Opt.Repeated("--cors", "Origin of web pages that may call the API, such as https://chat.example.org.", "ORIGIN");

    public Option<int> Drain { get; } = Opt.Number("--drain", 10, 0, 600, "Seconds that answers may go on after Ctrl-C or SIGTERM; then their streams are closed, and clients can resume them at another gateway.");

    public Option<int> Keep { get; } = Opt.Number("--keep", 120, 0, 86_400, "Seconds that a stream without a reader is kept for a client that comes back.");

    public Option<bool> Open { get; } = Opt.Flag("--open", "Let everybody in who reaches the endpoints, also beyond loopback.");

    public void AddTo(Command command)
    {
        Model.AddTo(command);
        foreach (Option option in (Option[])[Http, Tcp, Stages, Name, Context, MaxRows, MaxSequences, MaxWaiting, KvTokens, Replicas, Activations, ApiKeys, CorsOrigins, Open, Drain, Keep])
            command.Add(option);
        Node.AddTo(command);
    }

    /// <summary>Pipelines to build; null as many as fit.</summary>
    public int? ReplicasOf(ParseResult result)
    {
        string asked = result.GetValue(Replicas)!;
        if (asked == "auto")
            return null;
        return int.TryParse(asked, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is >= 1 and <= 1024
            ? number
            : throw new UsageException($"--replicas takes a whole number from 1 to 1024 or auto, not \"{asked}\"");
    }

    /// <summary>Positions of a sequence.</summary>
    public int ContextOf(ParseResult result, ModelFile file)
    {
        const int most = 32768;
        int own = file.Config.ContextLength, asked = result.GetValue(Context) ?? Math.Min(own, most);
        return asked <= own ? asked : throw new UsageException($"--context {asked} exceeds the model's {own} positions");
    }

    /// <summary>Stages in this process, if said: never more than the model can be cut into.</summary>
    public int? StagesOf(ParseResult result, ModelFile file)
    {
        int? asked = result.GetValue(Stages);
        int most = file.Config.LayerCount + 2;
        return asked is null || asked <= most ? asked : throw new UsageException($"--stages {asked} exceeds the {most} that a model of {file.Config.LayerCount} layers can be cut into");
    }
}
