namespace Llama3Cluster.Shards.Planning;

/// <summary>Byte counts for people, in binary units.</summary>
public static class ByteSize
{
    /// <summary>Such as <c>39.6 GiB</c>, <c>320.0 KiB</c> or <c>12 bytes</c>.</summary>
    public static string Format(long bytes) => Math.Abs((double)bytes) switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):N1} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):N1} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):N1} KiB",
        _ => $"{bytes} bytes",
    };
}
