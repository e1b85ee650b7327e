using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>Reads the small files of a model's folder whole.</summary>
internal static class BoundedFile
{
    /// <summary>Far above the largest real one (some 30 MB); what is larger is no tokenizer.</summary>
    private const long MaximumLength = 256L << 20;

    public static byte[] Read(string path)
    {
        try
        {
            long length = new FileInfo(path).Length;
            if (length > MaximumLength)
                throw new ModelFileException($"{path} has {length} bytes; a file of its kind has at most {MaximumLength}.");
            return File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException($"{path} cannot be read: {exception.Message}", exception);
        }
    }
}
