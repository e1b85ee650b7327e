using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>Reads the small files of a model's folder.</summary>
internal static class BoundedFile
{
    /// <summary>Far above the largest real one (some 30 MB); what is larger is no tokenizer.</summary>
    private const long MaximumLength = 256L << 20;

    /// <summary>Reads a file whole.</summary>
    public static byte[] Read(string path) => Reading(path, () =>
    {
        long length = new FileInfo(path).Length;
        return length <= MaximumLength
            ? File.ReadAllBytes(path)
            : throw new ModelFileException($"{path} has {length} bytes; a file of its kind has at most {MaximumLength}");
    });

    /// <summary>Whether a file begins with some bytes.</summary>
    public static bool StartsWith(string path, ReadOnlyMemory<byte> start) => Reading(path, () =>
    {
        using FileStream stream = File.OpenRead(path);
        var bytes = new byte[start.Length];
        int count = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return bytes.AsSpan(0, count).SequenceEqual(start.Span);
    });

    private static T Reading<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException($"{path} cannot be read: {exception.Message}", exception);
        }
    }
}
