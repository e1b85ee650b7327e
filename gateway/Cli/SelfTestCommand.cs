using System.CommandLine;
using System.Text.Json;
using Llama3Cluster.Gateway.Local.SelfTest;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>selftest</c>: whether a device computes what the reference does, on a machine without the tests.</summary>
internal static class SelfTestCommand
{
    private const string Description = """
        Run every operation on a device and compare with the reference, which computes with one thread in double precision. Takes a minute
        or two. The exit code is 1 if an operation is off.

          llama3cluster selftest --device cuda:0
        """;

    public static Command Create()
    {
        Option<string> device = Opt.Text("--device", "cpu", "The device: cpu, or one that \"llama3cluster devices\" prints.", "NAME");
        Option<bool> json = Opt.Flag("--json", "Print one JSON object a line.");
        var command = new Command("selftest", Description) { device, json };
        command.SetAction(result => Run(result.GetValue(device)!, result.GetValue(json)));
        return command;
    }

    private static int Run(string name, bool json)
    {
        using GpuContext? gpu = name == "cpu" ? null : new GpuContext(GpuOf(name));
        using ComputeDevice device = gpu is null ? new CpuDevice() : new GpuDevice(gpu);
        if (!json)
            Console.WriteLine(device.Name);
        int failed = 0, count = 0;
        foreach (SelfTestResult result in SelfTestRun.Run(device))
        {
            count++;
            failed += result.Passed ? 0 : 1;
            Console.WriteLine(json ? JsonSerializer.Serialize(result, JsonSerializerOptions.Web) : Line(result));
        }

        if (!json)
            Console.WriteLine($"{count - failed} of {count} passed");
        return failed == 0 ? 0 : 1;
    }

    private static string Line(SelfTestResult result)
    {
        string found = result.Error switch
        {
            null => result.Failure!,
            double.PositiveInfinity => result.Limit == 0 ? "bits differ" : "not a number",
            { } error => result.Limit == 0 ? "same bits" : $"{error:0.0e+0} (at most {result.Limit:0.0e+0})",
        };
        return $"{(result.Passed ? "ok    " : "FAILED")} {result.Operation}: {found}";
    }

    private static GpuInfo GpuOf(string name) => GpuDiscovery.List().FirstOrDefault(gpu => gpu.Id == name)
        ?? throw new UsageException($"this machine has no device {name}; there are cpu{string.Concat(GpuDiscovery.List().Select(gpu => $", {gpu.Id}"))}");
}
