using System.Globalization;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>Sizes as people write them.</summary>
internal static class ByteSizeParser
{
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000),
        ("T", 1L << 40), ("G", 1L << 30), ("M", 1L << 20), ("K", 1L << 10), ("B", 1), ("", 1),
    ];

    /// <summary>Reads a size: a number with an optional unit.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        string trimmed = text.Trim();
        foreach ((string suffix, long factor) in Units)
        {
            if (!trimmed.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
                continue;
            bool good = decimal.TryParse(trimmed[..^suffix.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
                && number >= 0 && number <= long.MaxValue / factor;
            bytes = good ? (long)(number * factor) : 0;
            return good;
        }

        bytes = 0;
        return false;
    }
}
