using System.Buffers;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

// hello: [kind, oldest version, newest version, cluster, replica, epoch, stage, fingerprint, has secret, nonce]
// challenge: [kind, version, nonce]; proof: [kind, proof]; welcome: [kind, credits, max payload, proof]; refused: [kind, code, reason]
internal static partial class FrameCodec
{
    /// <summary>Bytes of a nonce.</summary>
    public const int NonceBytes = 32;

    /// <summary>Bytes of a proof (HMAC-SHA256).</summary>
    public const int ProofBytes = 32;

    private const int HelloElements = 10;

    public static void WriteHello(HeaderBuffer output, Hello hello)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Hello, HelloElements);
        writer.Write(hello.OldestVersion);
        writer.Write(hello.NewestVersion);
        writer.Write(hello.Cluster);
        writer.Write(hello.Replica);
        writer.Write(hello.Epoch);
        writer.Write(hello.Stage);
        writer.Write(hello.Fingerprint);
        writer.Write(hello.HasSecret);
        writer.Write(hello.Nonce);
        writer.Flush();
    }

    /// <summary>
    /// The versions that a dialer speaks: read before the rest of its hello, which only a reader of one of these versions can
    /// understand. The first three elements are the same in every version.
    /// </summary>
    public static (int Oldest, int Newest) ReadVersions(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Hello, static header =>
    {
        var reader = new MessagePackReader(header);
        if (reader.ReadArrayHeader() < 3 || reader.ReadByte() != (byte)FrameKind.Hello)
            throw new ProtocolException("the first frame of a link is not a hello");
        int oldest = ReadInt(ref reader, 1, int.MaxValue, "oldest version");
        return (oldest, ReadInt(ref reader, oldest, int.MaxValue, "newest version"));
    });

    public static Hello ReadHello(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Hello, static header =>
    {
        MessagePackReader reader = Open(header, FrameKind.Hello, HelloElements);
        var hello = new Hello(
            ReadInt(ref reader, 1, int.MaxValue, "oldest version"),
            ReadInt(ref reader, 1, int.MaxValue, "newest version"),
            ReadText(ref reader, FrameLimits.MaxNameBytes, "cluster"),
            ReadText(ref reader, FrameLimits.MaxNameBytes, "replica"),
            ReadLong(ref reader, "epoch"),
            ReadInt(ref reader, -1, FrameLimits.MaxStages - 1, "stage"),
            ReadText(ref reader, FrameLimits.MaxNameBytes, "fingerprint"),
            reader.ReadBoolean(),
            ReadBinary(ref reader, "nonce", NonceBytes));
        Close(ref reader);
        return hello;
    });

    public static void WriteChallenge(HeaderBuffer output, Challenge challenge)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Challenge, elements: 3);
        writer.Write(challenge.Version);
        writer.Write(challenge.Nonce);
        writer.Flush();
    }

    public static Challenge ReadChallenge(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Challenge, static header =>
    {
        MessagePackReader reader = Open(header, FrameKind.Challenge, elements: 3);
        var challenge = new Challenge(
            ReadInt(ref reader, ProtocolVersion.Oldest, ProtocolVersion.Current, "version"),
            ReadBinary(ref reader, "nonce", NonceBytes));
        Close(ref reader);
        return challenge;
    });

    public static void WriteProof(HeaderBuffer output, byte[] proof)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Proof, elements: 2);
        writer.Write(proof);
        writer.Flush();
    }

    public static byte[] ReadProof(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Proof, static header =>
    {
        MessagePackReader reader = Open(header, FrameKind.Proof, elements: 2);
        byte[] proof = ReadBinary(ref reader, "proof", 0, ProofBytes);
        Close(ref reader);
        return proof;
    });

    public static void WriteWelcome(HeaderBuffer output, Welcome welcome)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Welcome, elements: 4);
        writer.Write(welcome.Credits);
        writer.Write(welcome.MaxPayloadBytes);
        writer.Write(welcome.Proof);
        writer.Flush();
    }

    public static Welcome ReadWelcome(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Welcome, static header =>
    {
        MessagePackReader reader = Open(header, FrameKind.Welcome, elements: 4);
        var welcome = new Welcome(
            ReadInt(ref reader, 1, FrameLimits.MaxCredits, "credits"),
            ReadInt(ref reader, 0, int.MaxValue, "largest payload"),
            ReadBinary(ref reader, "proof", 0, ProofBytes));
        Close(ref reader);
        return welcome;
    });

    public static void WriteRefused(HeaderBuffer output, Refused refused)
    {
        MessagePackWriter writer = Begin(output, FrameKind.Refused, elements: 3);
        writer.Write((byte)refused.Code);
        writer.Write(Shorten(refused.Reason));
        writer.Flush();
    }

    public static Refused ReadRefused(ReadOnlyMemory<byte> header) => Read(header, FrameKind.Refused, static header =>
    {
        MessagePackReader reader = Open(header, FrameKind.Refused, elements: 3);
        var refused = new Refused(
            (RefusalCode)ReadInt(ref reader, (int)RefusalCode.Version, (int)RefusalCode.Linked, "refusal code"),
            ReadText(ref reader, FrameLimits.MaxReasonBytes, "reason"));
        Close(ref reader);
        return refused;
    });

    private static byte[] ReadBinary(ref MessagePackReader reader, string name, params ReadOnlySpan<int> lengths)
    {
        ReadOnlySequence<byte> bytes = reader.ReadBytes() ?? throw new ProtocolException($"{name} is nil");
        return bytes.Length <= int.MaxValue && lengths.Contains((int)bytes.Length)
            ? bytes.ToArray()
            : throw new ProtocolException($"{name} has {bytes.Length} bytes");
    }

    private static T Read<T>(ReadOnlyMemory<byte> header, FrameKind kind, Func<ReadOnlyMemory<byte>, T> read)
    {
        try
        {
            return read(header);
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw Malformed(kind, exception);
        }
    }
}
