using System.Diagnostics;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Links;

/// <summary>A listener said no.</summary>
internal sealed class LinkRefusedException(RefusalCode code, string reason) : Exception(reason)
{
    public RefusalCode Code { get; } = code;

    /// <summary>Whether the same attempt may succeed later.</summary>
    public bool IsTransient => Code is RefusalCode.NotRegistered or RefusalCode.Linked;
}

/// <summary>A connection whose two sides have proved to each other who they are.</summary>
/// <param name="Transport">The connection.</param>
/// <param name="Reader">Its reader, which may have begun to read the next frames.</param>
/// <param name="Address">Where the link leads.</param>
/// <param name="Credits">Frames that may be in flight towards the listener.</param>
/// <param name="MaxPayloadBytes">Longest payload that the listener takes.</param>
internal sealed record EstablishedLink(
    ILinkTransport Transport, FrameReader Reader, LinkAddress Address, int Credits, int MaxPayloadBytes);

/// <summary>
/// How a link begins: hello, challenge, proof, welcome. The dialer proves the secret first, so that a listener tells strangers
/// nothing but its protocol version and whether they name its cluster. Blocking, on a thread of its own, against a deadline.
/// </summary>
internal static class LinkHandshake
{
    /// <summary>The dialer's side.</summary>
    /// <exception cref="LinkRefusedException">The listener said no.</exception>
    public static EstablishedLink Dial(ILinkTransport transport, LinkAddress address, LinkOptions options)
    {
        FrameReader reader = Begin(transport, options);
        var hello = new HeaderBuffer();
        FrameCodec.WriteHello(hello, new Hello(
            ProtocolVersion.Oldest, ProtocolVersion.Current, options.ClusterName, address.Replica, address.Epoch, address.Stage,
            options.ModelFingerprint, options.Secret.Length > 0, LinkAuthentication.NewNonce()));
        Send(transport, hello);

        ReadAnswer(reader);
        byte[] challenge = reader.Header.ToArray();
        FrameCodec.ReadChallenge(challenge);
        var proof = new HeaderBuffer();
        FrameCodec.WriteProof(proof, LinkAuthentication.DialerProof(options.Secret, hello.Header.Span, challenge));
        Send(transport, proof);

        ReadAnswer(reader);
        Welcome welcome = FrameCodec.ReadWelcome(reader.Header);
        if (!LinkAuthentication.Matches(LinkAuthentication.ListenerProof(options.Secret, hello.Header.Span, challenge), welcome.Proof))
            throw new LinkRefusedException(RefusalCode.Secret, "the listener does not know this cluster's secret: is it a node of the cluster?");

        // A dialer receives credits and pings: no payloads.
        return End(transport, reader, FrameLimits.Handshake, address, welcome.Credits, welcome.MaxPayloadBytes);
    }

    /// <summary>The listener's side. Whatever goes wrong, the claim is free again.</summary>
    /// <exception cref="LinkRefusedException">The dialer was refused, and told why.</exception>
    public static (EstablishedLink Link, LinkRegistry.Claim Claim) Accept(ILinkTransport transport, LinkOptions options, LinkRegistry registry)
    {
        try
        {
            return Negotiate(transport, options, registry);
        }
        catch (LinkRefusedException refusal)
        {
            var answer = new HeaderBuffer();
            FrameCodec.WriteRefused(answer, new Refused(refusal.Code, refusal.Message));
            Send(transport, answer);
            throw;
        }
    }

    private static (EstablishedLink Link, LinkRegistry.Claim Claim) Negotiate(
        ILinkTransport transport, LinkOptions options, LinkRegistry registry)
    {
        FrameReader reader = Begin(transport, options);
        ReadFrame(reader);
        byte[] helloHeader = reader.Header.ToArray();
        (int oldest, int newest) = FrameCodec.ReadVersions(helloHeader);
        int version = ProtocolVersion.Agree(oldest, newest)
            ?? throw new LinkRefusedException(RefusalCode.Version, ProtocolVersion.Mismatch(oldest, newest));
        Hello hello = FrameCodec.ReadHello(helloHeader);
        CheckCluster(hello, options);

        var challenge = new HeaderBuffer();
        FrameCodec.WriteChallenge(challenge, new Challenge(version, LinkAuthentication.NewNonce()));
        Send(transport, challenge);
        ReadFrame(reader);
        byte[] expected = LinkAuthentication.DialerProof(options.Secret, helloHeader, challenge.Header.Span);
        if (!LinkAuthentication.Matches(expected, FrameCodec.ReadProof(reader.Header)))
            throw new LinkRefusedException(RefusalCode.Secret, "the dialer's secret is not this cluster's: give all nodes the same secret");
        CheckModel(hello, options);

        var address = new LinkAddress(hello.Replica, hello.Epoch, hello.Stage);
        LinkRegistry.Claim claim = registry.Take(address);
        try
        {
            byte[] proof = LinkAuthentication.ListenerProof(options.Secret, helloHeader, challenge.Header.Span);
            var welcome = new HeaderBuffer();
            FrameCodec.WriteWelcome(welcome, new Welcome(options.Credits, options.MaxPayloadBytes, proof));
            Send(transport, welcome);
            var limits = new FrameLimits(FrameLimits.LargestHeader, options.MaxPayloadBytes);
            return (End(transport, reader, limits, address, options.Credits, options.MaxPayloadBytes), claim);
        }
        catch
        {
            claim.Free();
            throw;
        }
    }

    private static void CheckCluster(Hello hello, LinkOptions options)
    {
        if (hello.Cluster != options.ClusterName)
        {
            throw new LinkRefusedException(
                RefusalCode.Cluster, $"the dialer belongs to cluster '{hello.Cluster}', this node to another: check the address it dials");
        }

        if (hello.HasSecret != options.Secret.Length > 0)
        {
            throw new LinkRefusedException(
                RefusalCode.Secret,
                hello.HasSecret
                    ? "the dialer has a cluster secret and the listener has none: give all nodes the same secret"
                    : "the listener has a cluster secret and the dialer has none: give all nodes the same secret");
        }
    }

    private static void CheckModel(Hello hello, LinkOptions options)
    {
        if (hello.Fingerprint != options.ModelFingerprint)
        {
            throw new LinkRefusedException(
                RefusalCode.Model,
                $"the dialer's model is {Shorten(hello.Fingerprint)}, the listener's is {Shorten(options.ModelFingerprint)}: " +
                "give both nodes the same model files");
        }
    }

    private static FrameReader Begin(ILinkTransport transport, LinkOptions options)
    {
        transport.SendTimeout = options.HandshakeDeadline;
        long deadline = Stopwatch.GetTimestamp() + (long)(options.HandshakeDeadline.TotalSeconds * Stopwatch.Frequency);
        return new FrameReader(transport) { Limits = FrameLimits.Handshake, Deadline = deadline };
    }

    private static EstablishedLink End(
        ILinkTransport transport, FrameReader reader, FrameLimits limits, LinkAddress address, int credits, int maxPayloadBytes)
    {
        reader.Deadline = null;
        reader.Limits = limits;
        transport.ReceiveTimeout = Timeout.InfiniteTimeSpan; // from here on pings tell whether the peer lives
        return new EstablishedLink(transport, reader, address, credits, maxPayloadBytes);
    }

    private static void Send(ILinkTransport transport, HeaderBuffer header) =>
        transport.Send(header.Complete(payloadLength: 0), ArraySegment<byte>.Empty);

    private static void ReadFrame(FrameReader reader)
    {
        if (!reader.ReadHeader())
            throw new EndOfStreamException("the connection was closed in the handshake");
    }

    private static void ReadAnswer(FrameReader reader)
    {
        ReadFrame(reader);
        if (FrameCodec.KindOf(reader.Header) == FrameKind.Refused)
        {
            Refused refused = FrameCodec.ReadRefused(reader.Header);
            throw new LinkRefusedException(refused.Code, refused.Reason);
        }
    }

    private static string Shorten(string fingerprint) => fingerprint.Length <= 16 ? $"'{fingerprint}'" : $"'{fingerprint[..16]}…'";
}
