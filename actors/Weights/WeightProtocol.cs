using System.Buffers;
using System.Security.Cryptography;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Files.Partial;
using MessagePack;

namespace Llama3Cluster.Actors.Weights;

/// <summary>What is asked of a node that has the model.</summary>
internal enum WeightRequestKind : byte
{
    /// <summary>The model's files, and which bytes opening reads.</summary>
    Describe = 1,

    /// <summary>The SHA-256 of each piece of an extent.</summary>
    Hash = 2,

    /// <summary>The bytes of a piece.</summary>
    Read = 3,
}

/// <summary>A request; the extent counts for hashes and bytes only.</summary>
internal readonly record struct WeightRequest(WeightRequestKind Kind, FileExtent Extent);

/// <summary>A model as a node without its files must know it to make a copy.</summary>
/// <param name="OpenAs">What to open in the copy.</param>
/// <param name="Files">Names and lengths.</param>
/// <param name="Opening">The bytes that opening reads.</param>
internal sealed record ModelDescription(string OpenAs, IReadOnlyList<(string Name, long Length)> Files, IReadOnlyList<FileExtent> Opening);

/// <summary>
/// Requests and answers between a node that copies weights and one that has them: frames as on data links, after the handshake of
/// data links. A request is [kind, file, offset, count]; an answer is [problem], empty when there is none, and its payload.
/// </summary>
internal static class WeightProtocol
{
    /// <summary>Longest extent whose hashes are asked for at one time.</summary>
    public const long MostHashedBytes = 256L << 20;

    /// <summary>Longest answer.</summary>
    public const int MostAnswerBytes = 4 << 20;

    private const int MostNameBytes = 255;

    /// <summary>The address that a dialer names in the handshake: no replica has such an id.</summary>
    public static LinkAddress Address { get; } = new("(weights)", 0, LinkAddress.ReplicaStage);

    public static FrameLimits RequestLimits { get; } = new(64, 0);

    public static FrameLimits AnswerLimits { get; } = new(FrameLimits.MaxReasonBytes + 16, MostAnswerBytes);

    public static void Write(HeaderBuffer output, WeightRequest request)
    {
        output.Clear();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(4);
        writer.Write((byte)request.Kind);
        writer.Write(request.Extent.File);
        writer.Write(request.Extent.Offset);
        writer.Write(request.Extent.Count);
        writer.Flush();
    }

    public static WeightRequest ReadRequest(ReadOnlyMemory<byte> header) => Parse(header, "request", static (ref MessagePackReader reader) =>
    {
        Elements(ref reader, 4);
        byte kind = reader.ReadByte();
        if (kind is < (byte)WeightRequestKind.Describe or > (byte)WeightRequestKind.Read)
            throw new ProtocolException($"an unknown request {kind}");
        return new WeightRequest((WeightRequestKind)kind, ReadExtent(ref reader));
    });

    public static void WriteAnswer(HeaderBuffer output, string problem)
    {
        output.Clear();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(1);
        writer.Write(problem);
        writer.Flush();
    }

    public static string ReadAnswer(ReadOnlyMemory<byte> header) => Parse(header, "answer", static (ref MessagePackReader reader) =>
    {
        Elements(ref reader, 1);
        string problem = reader.ReadString() ?? "";
        return string.Concat(problem.Select(c => char.IsControl(c) ? ' ' : c)); // it ends up in log lines
    });

    public static byte[] Write(ModelLayout layout)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(3);
        writer.Write(layout.OpenAs);
        writer.WriteArrayHeader(layout.Files.Count);
        foreach (LayoutFile file in layout.Files)
        {
            writer.WriteArrayHeader(2);
            writer.Write(file.Name);
            writer.Write(file.Length);
        }

        writer.WriteArrayHeader(layout.Opening.Count);
        foreach (FileExtent extent in layout.Opening)
        {
            writer.WriteArrayHeader(3);
            writer.Write(extent.File);
            writer.Write(extent.Offset);
            writer.Write(extent.Count);
        }

        writer.Flush();
        return output.WrittenSpan.ToArray();
    }

    public static ModelDescription ReadDescription(ReadOnlyMemory<byte> payload) => Parse(payload, "description", static (ref MessagePackReader reader) =>
    {
        Elements(ref reader, 3);
        string openAs = ReadName(ref reader);
        var files = new (string, long)[Count(ref reader, PartialModelStore.MostFiles)];
        for (int i = 0; i < files.Length; i++)
        {
            Elements(ref reader, 2);
            files[i] = (ReadName(ref reader), reader.ReadInt64());
        }

        var opening = new FileExtent[Count(ref reader, 2 * PartialModelStore.MostFiles)];
        for (int i = 0; i < opening.Length; i++)
        {
            Elements(ref reader, 3);
            opening[i] = ReadExtent(ref reader);
            if (opening[i].File >= files.Length || !IsInside(opening[i], files[opening[i].File].Item2))
                throw new ProtocolException($"an extent {opening[i]} outside the model's {files.Length} files");
        }

        return new ModelDescription(openAs, files, opening);
    });

    /// <summary>Whether an extent lies in a file of a length.</summary>
    public static bool IsInside(FileExtent extent, long length) =>
        extent.Count >= 0 && extent.Offset >= 0 && extent.Count <= length && extent.Offset <= length - extent.Count;

    /// <summary>The SHA-256 of each piece of an extent, one after the other.</summary>
    public static int HashBytesOf(FileExtent extent) =>
        checked((int)((extent.Count + ModelPiece.MostBytes - 1) / ModelPiece.MostBytes * SHA256.HashSizeInBytes));

    private delegate T Reader<T>(ref MessagePackReader reader);

    private static T Parse<T>(ReadOnlyMemory<byte> bytes, string what, Reader<T> read)
    {
        try
        {
            var reader = new MessagePackReader(bytes);
            T value = read(ref reader);
            return reader.End ? value : throw new ProtocolException($"bytes after the end of a {what}, at {reader.Consumed}");
        }
        catch (Exception error) when (error is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new ProtocolException($"a {what} is malformed: {error.Message}", error);
        }
    }

    private static FileExtent ReadExtent(ref MessagePackReader reader)
    {
        var extent = new FileExtent(reader.ReadInt32(), reader.ReadInt64(), reader.ReadInt64());
        return extent is { File: >= 0, Offset: >= 0, Count: >= 0 } ? extent : throw new ProtocolException($"an extent {extent} with a negative number");
    }

    private static string ReadName(ref MessagePackReader reader) => reader.ReadString() is { Length: > 0 and <= MostNameBytes } name
        ? name
        : throw new ProtocolException($"a name that is empty or longer than {MostNameBytes}");

    private static int Count(ref MessagePackReader reader, int most)
    {
        int count = reader.ReadArrayHeader();
        return count <= most ? count : throw new ProtocolException($"an array of {count} elements, more than {most}");
    }

    private static void Elements(ref MessagePackReader reader, int expected)
    {
        int actual = reader.ReadArrayHeader();
        if (actual != expected)
            throw new ProtocolException($"an array has {actual} elements instead of {expected}");
    }
}
