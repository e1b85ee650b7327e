using Llama3Cluster.Chaos;

if (args.Contains("--help") || args.Contains("-h"))
{
    Console.WriteLine(ChaosOptions.Usage);
    return 0;
}

ChaosOptions options;
try
{
    options = ChaosOptions.Parse(args);
}
catch (ArgumentException error)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return 2;
}

Console.WriteLine($"seed {options.Seed}");
var reports = new List<ChaosReport>();
foreach (string fault in options.Faults)
    reports.Add(await ChaosRun.RunAsync(fault, options, line => Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {line}")));
Console.WriteLine();
Console.WriteLine(ChaosReport.Table(reports));
foreach (ChaosReport report in reports)
{
    foreach (string line in report.Notes.Concat(report.Problems))
        Console.WriteLine($"{report.Fault}: {line}");
}

return reports.All(report => report.IsGood) ? 0 : 1;
