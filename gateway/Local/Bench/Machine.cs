using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>What <c>bench</c> says about the machine and about this process.</summary>
internal static class Machine
{
    private const int BrandLeaf = unchecked((int)0x80000002);

    /// <summary>The processor by its maker's name, as far as it says one.</summary>
    public static string ProcessorName
    {
        get
        {
            string brand = X86Base.IsSupported ? Brand() : FieldOf("/proc/cpuinfo", "model name") ?? "";
            return brand.Length > 0 ? brand : RuntimeInformation.ProcessArchitecture.ToString();
        }
    }

    /// <summary>Seconds since the system started this program.</summary>
    public static double SecondsSinceStart
    {
        get
        {
            using var self = Process.GetCurrentProcess();
            return (DateTime.Now - self.StartTime).TotalSeconds;
        }
    }

    /// <summary>Bytes of this process in memory; null where the system does not tell (it is Linux that does).</summary>
    public static ResidentMemory? Resident =>
        StatusBytes("RssFile") is { } file && StatusBytes("RssAnon") is { } anonymous ? new ResidentMemory(file, anonymous) : null;

    private static string Brand()
    {
        if (X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < unchecked((int)0x80000004))
            return "";
        Span<int> words = stackalloc int[12];
        for (int i = 0; i < 3; i++)
            (words[4 * i], words[(4 * i) + 1], words[(4 * i) + 2], words[(4 * i) + 3]) = X86Base.CpuId(BrandLeaf + i, 0);
        return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words)).TrimEnd('\0').Trim();
    }

    private static long? StatusBytes(string field) =>
        FieldOf("/proc/self/status", field)?.Split(' ')[0] is { } number && long.TryParse(number, CultureInfo.InvariantCulture, out long kibibytes)
            ? kibibytes << 10
            : null;

    private static string? FieldOf(string path, string field) => File.Exists(path)
        ? File.ReadLines(path).Select(line => line.Split(':', 2)).FirstOrDefault(parts => parts.Length == 2 && parts[0].Trim() == field)?[1].Trim()
        : null;
}

/// <summary>Memory of a process that is in use now.</summary>
/// <param name="FileBytes">Pages of files, the model's among them: the system may drop and reread them.</param>
/// <param name="AnonymousBytes">Everything else: KV cache, buffers, the runtime.</param>
internal sealed record ResidentMemory(long FileBytes, long AnonymousBytes);
