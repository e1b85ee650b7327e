using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Tests.Cpu.MachineCode;

/// <summary>
/// That code of our own may run; what it computes is compared bit by bit in <see cref="RepackTests"/>, and with the reference device.
/// </summary>
public unsafe class MachineCodeTests
{
    [Fact]
    public void Code_must_be_kept_where_it_can_run_but_no_longer_be_written()
    {
        if (!OperatingSystem.IsLinux())
            return;
        void* code = CodeMemory.TryKeep([0xC3]);
        if (code == null)
            return;
        string pages = File.ReadLines("/proc/self/maps").Single(line => Holds(line, (ulong)code));
        Assert.Contains(" r-xp ", pages, StringComparison.Ordinal);
    }

    [Fact]
    public void A_processor_with_vnni_must_use_it_where_it_uses_its_widest_vectors()
    {
        if (SimdPaths.Best >= SimdPath.Vector512)
            Assert.Equal(VnniSupport.IsSupported, SimdPaths.Best == SimdPath.Vector512Vnni);
    }

    private static bool Holds(string line, ulong address)
    {
        string[] ends = line[..line.IndexOf(' ', StringComparison.Ordinal)].Split('-');
        return Convert.ToUInt64(ends[0], 16) <= address && address < Convert.ToUInt64(ends[1], 16);
    }
}
