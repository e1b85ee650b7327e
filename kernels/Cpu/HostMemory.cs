using System.Globalization;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>What the machine, or the container that the process runs in, has of memory.</summary>
internal static class HostMemory
{
    /// <summary>All of it, in bytes.</summary>
    public static long Total => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>What this process may still allocate, in bytes. Pages that only cache files count as free: the system drops them.</summary>
    public static long Available => OperatingSystem.IsLinux()
        ? Math.Min(Read("/proc/meminfo", "MemAvailable:"), Total - Read("/proc/self/status", "RssAnon:"))
        : Total - Environment.WorkingSet;

    private static long Read(string file, string field)
    {
        string line = File.ReadLines(file).First(line => line.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(field.Length).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
