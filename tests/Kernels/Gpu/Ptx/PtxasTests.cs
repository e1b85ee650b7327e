using System.Text;
using ILGPU.Runtime.Cuda;
using Llama3Cluster.Kernels.Gpu.Launch;
using Xunit.Abstractions;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>
/// Every kernel for CUDA, assembled by NVIDIA's ptxas for two generations. With PTX_OUT naming a folder, the PTX is kept there, and the
/// table of registers, spills and memory as ptxas-sm_80.txt and ptxas-sm_90.txt.
/// </summary>
public class PtxasTests(ITestOutputHelper output)
{
    private readonly StringBuilder _table = new();

    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90")]
    public void Every_kernel_must_assemble_and_hot_ones_without_spills(string architecture)
    {
        Ptxas? ptxas = Ptxas.For(architecture);
        if (ptxas is null)
        {
            Print($"no ptxas for {architecture}: kernels are not assembled; tests/cuda/get-ptxas fetches it");
            Keep($"ptxas-{architecture}.txt", _table.ToString());
            return;
        }

        var failures = new List<string>();
        Print($"{architecture,-28} registers  spilled  stack  shared");
        foreach (KernelEntry entry in KernelCatalog.All.Where(entry => entry.Traits.Target != KernelTarget.Sm90 || architecture == "sm_90"))
        {
            string ptx = PtxCompiler.Compile(entry, architecture == "sm_80" ? CudaArchitecture.SM_80 : CudaArchitecture.SM_90);
            Keep($"{entry.Traits.Name}.{architecture}.ptx", ptx);
            try
            {
                PtxasReport report = ptxas.Assemble(ptx, architecture);
                Print($"{entry.Traits.Name,-28} {report.Registers,9}  {report.SpillBytes,7}  {report.StackBytes,5}  {report.SharedBytes,6}");
                if (entry.Traits.Hot && report.SpillBytes + report.StackBytes > 0)
                    failures.Add($"{entry.Traits.Name} uses local memory: {report}");
            }
            catch (InvalidOperationException refusal)
            {
                failures.Add($"{entry.Traits.Name}: {refusal.Message}");
            }
        }

        Keep($"ptxas-{architecture}.txt", _table.ToString());
        Assert.Empty(failures);
    }

    private static void Keep(string name, string text)
    {
        if (Environment.GetEnvironmentVariable("PTX_OUT") is { Length: > 0 } folder)
            File.WriteAllText(Path.Combine(folder, name.Replace(' ', '-')), text);
    }

    private void Print(string line)
    {
        _table.AppendLine(line);
        output.WriteLine(line);
    }
}
