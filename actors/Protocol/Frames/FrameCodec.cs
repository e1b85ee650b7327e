using System.Buffers;
using System.Text;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>
/// Frames on a link: u32 header length, u32 payload length (little-endian), a MessagePack header, the raw payload. A header is
/// an array whose first element is its <see cref="FrameKind"/>. Writers write what they are given; readers take nothing on
/// trust, and whatever is wrong with a header comes out as a <see cref="ProtocolException"/>.
/// </summary>
internal static partial class FrameCodec
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The kind of the frame that the header begins.</summary>
    public static FrameKind KindOf(ReadOnlyMemory<byte> header)
    {
        try
        {
            var reader = new MessagePackReader(header);
            if (reader.ReadArrayHeader() == 0)
                throw new ProtocolException("an empty frame header");
            byte kind = reader.ReadByte();
            return kind is >= (byte)FrameKind.Hello and <= (byte)FrameKind.Bye
                ? (FrameKind)kind
                : throw new ProtocolException($"unknown frame kind {kind}");
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw new ProtocolException("not a frame header", exception);
        }
    }

    /// <summary>Writes a frame that is a number: a credit of so many frames, a ping, or the pong to a ping of that number.</summary>
    public static void WriteNumber(HeaderBuffer output, FrameKind kind, long number)
    {
        MessagePackWriter writer = Begin(output, kind, elements: 2);
        writer.Write(number);
        writer.Flush();
    }

    /// <summary>Says why this side closes.</summary>
    public static void WriteBye(HeaderBuffer output, string reason)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Bye, elements: 2);
        writer.Write(Shorten(reason));
        writer.Flush();
    }

    /// <summary>Frames that are granted, 1 or more.</summary>
    public static int ReadCredit(ReadOnlyMemory<byte> header) =>
        (int)ReadNumber(header, FrameKind.Credit, least: 1, most: FrameLimits.MaxCredits);

    /// <summary>Number of a ping.</summary>
    public static long ReadPing(ReadOnlyMemory<byte> header) => ReadNumber(header, FrameKind.Ping, least: 0, most: long.MaxValue);

    /// <summary>Number of the ping that is answered.</summary>
    public static long ReadPong(ReadOnlyMemory<byte> header) => ReadNumber(header, FrameKind.Pong, least: 0, most: long.MaxValue);

    /// <summary>Why the peer closes.</summary>
    public static string ReadBye(ReadOnlyMemory<byte> header)
    {
        try
        {
            MessagePackReader reader = Open(header, FrameKind.Bye, elements: 2);
            string reason = ReadText(ref reader, FrameLimits.MaxReasonBytes, "reason");
            Close(ref reader);
            return reason;
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw Malformed(FrameKind.Bye, exception);
        }
    }

    private static long ReadNumber(ReadOnlyMemory<byte> header, FrameKind kind, long least, long most)
    {
        try
        {
            MessagePackReader reader = Open(header, kind, elements: 2);
            long number = reader.ReadInt64();
            Close(ref reader);
            return Between(number, least, most, "number");
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw Malformed(kind, exception);
        }
    }

    private static MessagePackWriter Begin(HeaderBuffer output, FrameKind kind, int elements)
    {
        output.Clear();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(elements);
        writer.Write((byte)kind);
        return writer;
    }

    private static MessagePackReader Open(ReadOnlyMemory<byte> header, FrameKind kind, int elements)
    {
        var reader = new MessagePackReader(header);
        Elements(ref reader, elements, "header");
        byte actual = reader.ReadByte();
        return actual == (byte)kind
            ? reader
            : throw new ProtocolException($"a frame of kind {actual} where a {kind} was expected");
    }

    private static void Close(ref MessagePackReader reader)
    {
        if (!reader.End)
            throw new ProtocolException($"bytes after the end of the header, at {reader.Consumed}");
    }

    private static void Elements(ref MessagePackReader reader, int expected, string name)
    {
        int actual = reader.ReadArrayHeader();
        if (actual != expected)
            throw new ProtocolException($"{name} has {actual} elements instead of {expected}");
    }

    private static long Between(long value, long least, long most, string name) =>
        value >= least && value <= most
            ? value
            : throw new ProtocolException($"{name} is {value}, outside {least} to {most}");

    private static int ReadInt(ref MessagePackReader reader, int least, int most, string name) =>
        (int)Between(reader.ReadInt64(), least, most, name);

    private static long ReadLong(ref MessagePackReader reader, string name) =>
        Between(reader.ReadInt64(), 0, long.MaxValue, name);

    private static float ReadFloat(ref MessagePackReader reader, float least, float most, string name)
    {
        float value = reader.ReadSingle();
        return value >= least && value <= most // false for a NaN
            ? value
            : throw new ProtocolException($"{name} is {value}, outside {least} to {most}");
    }

    private static string ReadText(ref MessagePackReader reader, int maxBytes, string name)
    {
        ReadOnlySequence<byte> bytes = reader.ReadStringSequence() ?? throw new ProtocolException($"{name} is nil");
        if (bytes.Length > maxBytes)
            throw new ProtocolException($"{name} has {bytes.Length} bytes, more than {maxBytes}");
        string text = StrictUtf8.GetString(bytes);
        foreach (char c in text)
        {
            if (char.IsControl(c)) // it ends up in log lines
                throw new ProtocolException($"{name} has a control character");
        }

        return text;
    }

    /// <summary>A reason of our own as it may travel: on one line, and no longer than the reader takes.</summary>
    private static string Shorten(string reason)
    {
        const int maxChars = FrameLimits.MaxReasonBytes / 3; // a UTF-16 unit becomes three bytes at most
        string text = string.Concat(reason.Take(maxChars).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? ' ' : c));
        return text.Length < reason.Length ? text[..^1] + "…" : text;
    }

    /// <summary>What MessagePack and the text decoder throw on bytes that are not what they should be.</summary>
    private static bool IsMalformed(Exception exception) =>
        exception is MessagePackSerializationException or EndOfStreamException or OverflowException or DecoderFallbackException;

    private static ProtocolException Malformed(FrameKind kind, Exception exception) =>
        new($"the header of a {kind} frame is malformed: {exception.Message}", exception);
}
