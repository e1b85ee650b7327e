using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Akka.Actor;
using Akka.TestKit;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Tests.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Links;

/// <summary>Links under mutual TLS: who gets one, and what the others do to those that are up.</summary>
public sealed class LinkTlsTests : LinkTestKit
{
    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _stranger = new();
    private readonly RefusedPeers _refused = new(NullLogger.Instance);

    private LinkOptions Encrypted => Options with { Tls = _authority.Node(), Refused = _refused };

    [Fact]
    public void Frames_of_all_sizes_must_arrive()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink(Encrypted, Encrypted);

        int[] floats = [0, 1, 1000, 4096, 5000, 100_000, 3_000_000];
        foreach (int size in floats)
        {
            link.Tell(RentStep(size % 100, size));
            AssertStep(receiver.ExpectMsg<StepFrame>(), size % 100, size);
        }

        AssertNoFrameIsLost();
    }

    [Fact]
    public void The_session_must_be_of_the_newest_version()
    {
        if (OperatingSystem.IsMacOS())
            return; // whose TLS library has no 1.3 for .NET
        (_, IPEndPoint endpoint) = StartListener(Encrypted);
        using X509Certificate2 certificate = _authority.Issue("127.0.0.1");
        using SslStream stream = Connect(endpoint, certificate);
        Assert.Equal(SslProtocols.Tls13, stream.SslProtocol);
    }

    [Fact]
    public void The_secret_must_still_be_checked()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted);
        Register(listener);

        Assert.Contains("secret", ExpectNoLink(Encrypted with { Secret = "another"u8.ToArray() }, endpoint), StringComparison.Ordinal);
    }

    [Fact]
    public void A_peer_that_dies_must_take_the_link_down()
    {
        (IActorRef link, TestProbe owner, TestProbe receiver, IActorRef listener) = StartLink(Encrypted, Encrypted);
        link.Tell(RentStep(1));
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);

        Sys.Stop(listener);

        owner.ExpectMsg<LinkDown>();
        receiver.ExpectMsg<LinkDown>();
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_silent_peer_must_take_the_link_down()
    {
        using Socket listening = RawPeer.Listen();
        TestProbe owner = CreateTestProbe();
        LinkOptions impatient = Encrypted with { PingInterval = TimeSpan.FromMilliseconds(20), PingTimeout = TimeSpan.FromMilliseconds(150) };
        Sys.ActorOf(LinkActor.Props(impatient, (IPEndPoint)listening.LocalEndPoint!, Address, owner));
        Socket socket = listening.Accept();
        using var transport = TlsLinkTransport.Accept(new SocketTransport(socket, (IPEndPoint)socket.RemoteEndPoint!), _authority.Node(), TimeSpan.FromSeconds(3));
        var registry = new LinkRegistry();
        registry.Add(Address, ActorRefs.Nobody);
        LinkHandshake.Accept(transport, Encrypted, registry);
        owner.ExpectMsg<LinkUp>();

        Assert.Contains("nothing came from the peer", owner.ExpectMsg<LinkDown>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dialer_of_another_authority_must_be_refused()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted);

        ExpectNoLink(Encrypted with { Tls = _stranger.Node(), ConnectDeadline = Soon, Refused = null }, endpoint);

        AwaitCondition(() => StatisticsOf(listener).Unauthenticated > 0, TimeSpan.FromSeconds(3));
        Assert.True(_refused.Count > 0);
    }

    [Fact]
    public void A_listener_of_another_authority_must_not_be_dialed_again()
    {
        (_, IPEndPoint endpoint) = StartListener(Encrypted with { Tls = _stranger.Node(), Refused = null });

        string reason = ExpectNoLink(Encrypted, endpoint);

        Assert.Contains("is not of this cluster's authority", reason, StringComparison.Ordinal);
        Assert.Equal(1, _refused.Count);
    }

    [Fact]
    public void A_listener_with_the_certificate_of_another_address_must_not_get_a_link()
    {
        (_, IPEndPoint endpoint) = StartListener(Encrypted with { Tls = _authority.Node("10.0.0.5", "beta.lan") });

        string reason = ExpectNoLink(Encrypted, endpoint);

        Assert.Contains("is for beta.lan, 10.0.0.5, not for 127.0.0.1", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dialer_from_another_address_than_its_certificates_must_get_a_link()
    {
        (IActorRef link, _, TestProbe receiver, _) = StartLink(Encrypted with { Tls = _authority.Node("behind-a-nat.lan") }, Encrypted);

        link.Tell(RentStep(1));
        AssertStep(receiver.ExpectMsg<StepFrame>(), 1);
    }

    [Fact]
    public void A_dialer_without_a_certificate_must_be_refused()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted);

        using SslStream stream = Connect(endpoint, certificate: null);

        AwaitCondition(() => StatisticsOf(listener).Unauthenticated == 1, TimeSpan.FromSeconds(3));
    }

    [Fact]
    public void A_dialer_whose_certificate_has_expired_must_be_refused()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted);
        TlsFiles old = _authority.Files(TestAuthority.Start, TestAuthority.Start.AddHours(1), "127.0.0.1");
        using var certificate = X509Certificate2.CreateFromPemFile(old.Certificate, old.Key);

        using SslStream stream = Connect(endpoint, certificate);

        AwaitCondition(() => StatisticsOf(listener).Unauthenticated == 1, TimeSpan.FromSeconds(3));
    }

    [Fact]
    public void A_dialer_without_tls_must_be_refused()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted);

        ExpectNoLink(Options with { ConnectDeadline = Soon }, endpoint);

        Assert.True(StatisticsOf(listener).Unauthenticated > 0);
    }

    [Fact]
    public void A_listener_without_tls_must_not_get_a_link()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener();

        ExpectNoLink(Encrypted with { ConnectDeadline = Soon }, endpoint);

        Assert.True(StatisticsOf(listener).Malformed > 0);
    }

    [Fact]
    public void Strangers_must_not_disturb_a_link_that_is_up()
    {
        LinkOptions impatient = Encrypted with { HandshakeDeadline = TimeSpan.FromMilliseconds(300) };
        (IActorRef link, _, TestProbe receiver, IActorRef listener) = StartLink(Encrypted, impatient);
        listener.Tell(LinkListenerActor.GetEndpoint.Instance, TestActor);
        IPEndPoint endpoint = ExpectMsg<LinkListenerActor.Bound>().Endpoint;
        var random = new Random(7);
        const int rounds = 10;
        using RawPeer silent = RawPeer.Dial(endpoint);
        using X509Certificate2 foreign = _stranger.Issue("127.0.0.1");
        for (int i = 0; i < rounds; i++)
        {
            byte[] garbage = new byte[random.Next(5, 5000)];
            random.NextBytes(garbage);
            garbage[0] = 0xff; // whatever it is, it is no handshake
            using (RawPeer peer = RawPeer.Dial(endpoint))
                peer.Send(garbage);
            Connect(endpoint, certificate: null).Dispose();
            Connect(endpoint, foreign).Dispose();
            link.Tell(RentStep(i, 10_000));
            AssertStep(receiver.ExpectMsg<StepFrame>(), i, 10_000);
        }

        silent.ExpectEnd();
        AwaitCondition(() => StatisticsOf(listener) is { TimedOut: 1, Established: 1, Unauthenticated: 3 * rounds }, TimeSpan.FromSeconds(5));
        receiver.ExpectNoMsg(TimeSpan.Zero);
        AssertNoFrameIsLost();
    }

    [Fact]
    public void A_peer_that_sends_a_byte_now_and_then_must_be_closed_at_the_deadline()
    {
        (IActorRef listener, IPEndPoint endpoint) = StartListener(Encrypted with { HandshakeDeadline = TimeSpan.FromMilliseconds(300) });
        using RawPeer slow = RawPeer.Dial(endpoint);
        slow.Send(0x16, 0x03, 0x01, 0x3f, 0xff); // a record of 16 KB begins

        // A byte each time the listener is asked how it is doing: many receives, none of which waits long.
        while (StatisticsOf(listener).TimedOut == 0)
        {
            try
            {
                slow.Send(1);
            }
            catch (SocketException)
            {
                break; // closed: that is what we wait for
            }
        }

        AwaitCondition(() => StatisticsOf(listener).TimedOut == 1, TimeSpan.FromSeconds(3));
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        _authority.Dispose();
        _stranger.Dispose();
    }

    // As far as the peer lets it come: with TLS 1.3 a client learns only later that its certificate was refused.
    private static SslStream Connect(IPEndPoint endpoint, X509Certificate2? certificate)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(endpoint);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true), false, (_, shown, _, _) => shown is not null);
        try
        {
            stream.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                TargetHost = "127.0.0.1",
                ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
            });
        }
        catch (Exception error) when (error is AuthenticationException or IOException)
        {
            // Refused at once.
        }

        return stream;
    }
}
