using System.Text;
using Llama3Cluster.Hop;

if (args.Contains("--help") || args.Contains("-h"))
{
    Console.WriteLine(HopOptions.Usage);
    return 0;
}

HopOptions options;
try
{
    options = HopOptions.Parse(args);
}
catch (ArgumentException error)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return 2;
}

var table = new StringBuilder();
table.AppendLine($"Round trips on loopback, {Environment.ProcessorCount} cores, {options.Rounds} turns of {options.Seconds} s each.");
table.AppendLine();
table.AppendLine("| bytes | socket p50 (µs) | link p50 (µs) | link / socket | socket GB/s | link GB/s | link of it |");
table.AppendLine("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
using (var socket = new SocketPingPong())
using (var link = new LinkPingPong())
{
    foreach (int bytes in options.Sizes)
    {
        List<double> ofSocket = [], ofLink = [];
        socket.Play(bytes, options.Seconds, []); // warms up
        link.Play(bytes, options.Seconds, []);
        for (int round = 1; round <= options.Rounds; round++)
        {
            socket.Play(bytes, options.Seconds, ofSocket);
            link.Play(bytes, options.Seconds, ofLink);
            Console.Error.WriteLine($"{bytes} bytes: turn {round} of {options.Rounds}");
        }

        double a = Median(ofSocket), b = Median(ofLink);
        table.AppendLine($"| {bytes} | {1e6 * a:0.0} | {1e6 * b:0.0} | {b / a:0.00} | {2 * bytes / a / 1e9:0.00} | {2 * bytes / b / 1e9:0.00} | {a / b:P0} |");
    }
}

Console.WriteLine(table);
if (options.Out is { } path)
    File.WriteAllText(path, table.ToString());
return 0;

static double Median(List<double> values)
{
    values.Sort();
    return values[values.Count / 2];
}
