using System.Globalization;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>How much the processor's largest cache holds: what is measured as memory must be more than that.</summary>
internal static class CacheSize
{
    private const string Folder = "/sys/devices/system/cpu/cpu0/cache";

    /// <summary>Bytes of the largest cache of the first core; 0 where the system does not say.</summary>
    public static long Largest()
    {
        try
        {
            return Directory.Exists(Folder)
                ? Directory.EnumerateDirectories(Folder, "index*").Select(cache => Parse(File.ReadAllText(Path.Combine(cache, "size")))).Max()
                : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return 0;
        }
    }

    /// <summary>A size as Linux writes it, such as <c>266240K</c>; 0 for anything else.</summary>
    internal static long Parse(string size)
    {
        ReadOnlySpan<char> text = size.AsSpan().Trim();
        if (text.IsEmpty)
            return 0;
        int shift = text[^1] switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        ReadOnlySpan<char> digits = shift == 0 ? text : text[..^1];
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count <= long.MaxValue >> shift
            ? count << shift
            : 0;
    }
}
