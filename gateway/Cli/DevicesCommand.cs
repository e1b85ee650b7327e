using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Shards.Planning;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>devices</c>: what this machine can compute on.</summary>
internal static class DevicesCommand
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static Command Create()
    {
        Option<bool> json = Opt.Flag("--json", "Print the devices as JSON.");
        var command = new Command("devices", "List what --device can name on this machine: its processor, and the GPUs that CUDA and OpenCL drivers show.") { json };
        command.SetAction(result =>
        {
            IReadOnlyList<GpuInfo> gpus = GpuDiscovery.List();
            HashSet<string> chosen = [.. Devices.Find("auto", new Lazy<IReadOnlyList<GpuInfo>>(gpus)).Select(source => source.Name)];
            using var cpu = new CpuDevice();
            List<Row> rows = [new Row("cpu", cpu.Name, cpu.MemoryBytes, Environment.ProcessorCount, chosen.Contains("cpu"))];
            rows.AddRange(gpus.Select(gpu => new Row(gpu.Id, gpu.Name, gpu.MemoryBytes, gpu.Multiprocessors, chosen.Contains(gpu.Id))));
            if (result.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(rows, Json));
            else
                Print(rows);
            return 0;
        });
        return command;
    }

    private sealed record Row(string Device, string Name, long MemoryBytes, int ComputeUnits, bool Auto);

    private static void Print(List<Row> rows)
    {
        Table table = new Table().Border(TableBorder.Rounded).AddColumns("--device", "name", "memory", "cores or compute units", "auto takes it");
        foreach (Row row in rows)
        {
            table.AddRow(
                row.Device, Markup.Escape(row.Name), ByteSize.Format(row.MemoryBytes), row.ComputeUnits.ToString(CultureInfo.InvariantCulture), row.Auto ? "yes" : "");
        }

        AnsiConsole.Write(table);
        if (rows.Count == 1)
            Console.WriteLine("No CUDA or OpenCL driver shows a GPU; docs/gpu.md says what they need.");
    }
}
