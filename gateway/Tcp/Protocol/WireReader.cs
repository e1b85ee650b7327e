using System.Buffers;
using System.Text;
using MessagePack;

namespace Llama3Cluster.Gateway.Tcp.Protocol;

/// <summary>Strict reads of the values that messages are made of.</summary>
internal static class WireReader
{
    private const int MaxFirstCapacity = 64;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Reads the header of an array of a fixed length.</summary>
    public static void ReadArray(ref MessagePackReader reader, int length)
    {
        int got = reader.ReadArrayHeader();
        if (got != length)
            throw new TcpProtocolException($"An array of {length} elements is expected, but one has {got}.");
    }

    /// <summary>Reads a text, which must be valid UTF-8.</summary>
    public static string ReadText(ref MessagePackReader reader)
    {
        ReadOnlySequence<byte> bytes = reader.ReadStringSequence() ?? throw new TcpProtocolException("A text is missing.");
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException error)
        {
            throw new TcpProtocolException("A text is not valid UTF-8.", error);
        }
    }

    public static string? ReadOptionalText(ref MessagePackReader reader) => reader.TryReadNil() ? null : ReadText(ref reader);

    public static int? ReadOptionalInt32(ref MessagePackReader reader) => reader.TryReadNil() ? null : reader.ReadInt32();

    /// <summary>
    /// Reads an array of anything. Memory is taken for items that are there, not for those that the header claims.
    /// </summary>
    public static List<T> ReadArrayOf<T>(ref MessagePackReader reader, FrameDecoder<T> readItem)
    {
        int count = reader.ReadArrayHeader();
        var items = new List<T>(Math.Min(count, MaxFirstCapacity));
        for (int i = 0; i < count; i++)
            items.Add(readItem(ref reader));
        return items;
    }

    public static void WriteOptional(ref MessagePackWriter writer, int? value)
    {
        if (value is { } number)
            writer.Write(number);
        else
            writer.WriteNil();
    }
}
