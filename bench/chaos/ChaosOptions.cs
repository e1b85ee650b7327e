using System.Globalization;

namespace Llama3Cluster.Chaos;

/// <summary>What a run does.</summary>
internal sealed record ChaosOptions
{
    public const string Usage = """
        usage: bench/chaos/run [FAULT...] [options]

        Starts gateways and stage nodes as processes on loopback (the demo model on CPU devices), keeps greedy streams running, injects
        faults, compares every text with the one that the unfaulted cluster gave, and prints what the streams felt. Exits with 1 if a
        stream failed, a text differed, or something was not given back at the end.

        faults (default: kill):
          kill        kill -9 a random stage node and start it again, --times times
          stop        SIGSTOP a random stage node for --hold seconds, then SIGCONT
          gateway     kill -9 a random gateway (of two, if --gateways says nothing) and start it again; clients go on at the other
          partition   cut a random stage node off from all others for --hold seconds, by proxies between all processes
          slow        100 ms delay and 1 MB/s on every connection for --hold seconds
          join        a further node joins; how long until it has work
          leave       a node is asked to end with SIGTERM; how long until it has, and another joins in its place
          memory      a model that needs three nodes' memory: refused with two, served with the third
          soak        nothing at all, for --seconds; samples memory and handles of every process

        options:
          --gateways N     gateways (default 1, or 2 for the fault gateway)
          --nodes N        stage nodes (default 3)
          --streams N      streams at all times (default 16)
          --tokens N       tokens of each answer (default 200)
          --times N        faults of each kind (default 30 kills, 10 of gateways, 3 of the others)
          --every S        seconds between a recovery and the next fault (default 3)
          --hold S         how long stop, partition and slow last (default 10)
          --seconds S      how long soak lasts (default 600)
          --tls yes        mutual TLS between all processes, with certificates made for the run
          --seed N         which nodes are hit (default: random, printed)
          --logs DIR       where to write what every process printed
          --serve "ARGS"   further arguments of every gateway
          --node "ARGS"    further arguments of every node
        """;

    public IReadOnlyList<string> Faults { get; init; } = ["kill"];

    public int? Gateways { get; init; }

    public int Nodes { get; init; } = 3;

    public int Streams { get; init; } = 16;

    public int Tokens { get; init; } = 200;

    public int? Times { get; init; }

    public TimeSpan Every { get; init; } = TimeSpan.FromSeconds(3);

    public TimeSpan Hold { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan Length { get; init; } = TimeSpan.FromMinutes(10);

    public int Seed { get; init; } = Random.Shared.Next(1_000_000);

    public string? Logs { get; init; }

    public string[] GatewayArguments { get; init; } = [];

    public string[] NodeArguments { get; init; } = [];

    /// <summary>Whether processes trust only each other's certificates.</summary>
    public bool Tls { get; init; }

    /// <summary>Whether there are proxies between the processes.</summary>
    public bool Proxied { get; init; }

    /// <summary>Reads a command line.</summary>
    /// <exception cref="ArgumentException">It is not one; the message says why.</exception>
    public static ChaosOptions Parse(string[] arguments)
    {
        string[] known = ["kill", "stop", "gateway", "partition", "slow", "join", "leave", "memory", "soak"];
        var options = new ChaosOptions();
        var faults = new List<string>();
        for (int i = 0; i < arguments.Length; i++)
        {
            string name = arguments[i];
            if (known.Contains(name))
            {
                faults.Add(name);
                continue;
            }

            if (!name.StartsWith("--", StringComparison.Ordinal) || i + 1 == arguments.Length)
                throw new ArgumentException($"\"{name}\" is neither a fault nor an option with a value; see --help");
            options = options.With(name, arguments[++i]);
        }

        return faults.Count == 0 ? options : options with { Faults = faults };
    }

    private ChaosOptions With(string name, string value) => name switch
    {
        "--gateways" => this with { Gateways = Number(name, value, 1) },
        "--nodes" => this with { Nodes = Number(name, value, 1) },
        "--streams" => this with { Streams = Number(name, value, 1) },
        "--tokens" => this with { Tokens = Number(name, value, 1) },
        "--times" => this with { Times = Number(name, value, 1) },
        "--every" => this with { Every = TimeSpan.FromSeconds(Number(name, value, 0)) },
        "--hold" => this with { Hold = TimeSpan.FromSeconds(Number(name, value, 1)) },
        "--seconds" => this with { Length = TimeSpan.FromSeconds(Number(name, value, 1)) },
        "--tls" => this with { Tls = value == "yes" ? true : throw new ArgumentException($"--tls takes yes, not \"{value}\"") },
        "--seed" => this with { Seed = Number(name, value, 0) },
        "--logs" => this with { Logs = value },
        "--serve" => this with { GatewayArguments = Words(value) },
        "--node" => this with { NodeArguments = Words(value) },
        _ => throw new ArgumentException($"unknown option {name}; see --help"),
    };

    private static int Number(string name, string value, int least) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least
            ? number
            : throw new ArgumentException($"{name} takes a whole number from {least}, not \"{value}\"");

    private static string[] Words(string value) => value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
