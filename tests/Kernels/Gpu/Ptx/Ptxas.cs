using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>What ptxas says about a kernel.</summary>
/// <param name="Registers">Registers of a thread.</param>
/// <param name="SpillBytes">Bytes that were stored to and loaded from local memory for want of registers.</param>
/// <param name="StackBytes">Local memory of a thread.</param>
/// <param name="SharedBytes">Shared memory of a group.</param>
internal sealed record PtxasReport(int Registers, int SpillBytes, int StackBytes, int SharedBytes);

/// <summary>NVIDIA's assembler, if tests/cuda/get-ptxas or the PATH has one.</summary>
internal sealed partial class Ptxas
{
    private readonly string _path;

    private Ptxas(string path) => _path = path;

    /// <summary>The assembler for an architecture, such as sm_90; null where there is none that knows it.</summary>
    public static Ptxas? For(string architecture)
    {
        string folder = Environment.GetEnvironmentVariable("PTXAS_DIR") ?? Path.Combine(RepositoryRoot(), "tests", "cuda", ".ptxas");
        string[] versions = architecture == "sm_80" ? ["11.8", "12.4"] : ["12.4"];
        string? path = versions.Select(version => Path.Combine(folder, version, "ptxas"))
            .Concat((Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(Path.PathSeparator).Select(part => Path.Combine(part, "ptxas")))
            .FirstOrDefault(File.Exists);
        return path is null ? null : new Ptxas(path);
    }

    /// <summary>Assembles a kernel.</summary>
    /// <exception cref="InvalidOperationException">ptxas refuses it; the message has its reasons.</exception>
    public PtxasReport Assemble(string ptx, string architecture)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, ptx);
            var start = new ProcessStartInfo(_path, ["-v", $"-arch={architecture}", "-o", "/dev/null", file])
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            };
            using Process process = Process.Start(start)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            string report = process.StandardError.ReadToEnd() + output.Result;
            process.WaitForExit();
            return process.ExitCode == 0 ? Read(report) : throw new InvalidOperationException(report);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static PtxasReport Read(string report) => new(
        Number(RegisterCount(), report), Number(SpillStores(), report) + Number(SpillLoads(), report), Number(Stack(), report),
        Number(Shared(), report));

    private static int Number(Regex pattern, string report) =>
        pattern.Match(report) is { Success: true } match ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;

    private static string RepositoryRoot()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Llama3Cluster.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("the tests run outside of the repository");
        return folder;
    }

    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex RegisterCount();

    [GeneratedRegex(@"(\d+) bytes spill stores")]
    private static partial Regex SpillStores();

    [GeneratedRegex(@"(\d+) bytes spill loads")]
    private static partial Regex SpillLoads();

    [GeneratedRegex(@"(\d+) bytes stack frame")]
    private static partial Regex Stack();

    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();
}
