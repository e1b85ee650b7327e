using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Llama3Cluster.Actors.Remoting;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Actors.Tests.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace Llama3Cluster.Actors.Tests.Remoting;

/// <summary>Akka.Remote over the project's own TLS transport, between actor systems of this process.</summary>
public sealed class TlsTransportTests : IAsyncLifetime, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _stranger = new();
    private readonly List<ActorSystem> _systems = [];
    private readonly RefusedPeers _refused = new(NullLogger.Instance);

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => Task.WhenAll(_systems.Select(system => system.Terminate()));

    public void Dispose()
    {
        _authority.Dispose();
        _stranger.Dispose();
    }

    [Fact]
    public async Task Messages_of_all_sizes_must_arrive_in_order()
    {
        ActorSystem here = Start(_authority.Node()), there = Start(_authority.Node());
        ActorSelection echo = Echo(here, there);

        for (int i = 0; i < 300; i++)
            echo.Tell($"warm-up {i}", ActorRefs.NoSender);
        foreach (int length in (int[])[0, 1, 1000, 70_000, 900_000, 10])
        {
            string text = new('x', length);
            Assert.Equal(text, await echo.Ask<string>(text, Patience));
        }

        Task<string>[] answers = [.. Enumerable.Range(0, 500).Select(i => echo.Ask<string>($"message {i}", Patience))];
        Assert.Equal(Enumerable.Range(0, 500).Select(i => $"message {i}"), await Task.WhenAll(answers));
        Assert.StartsWith("akka.ssl.tcp://", AddressOf(here).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_that_is_too_large_must_be_dropped_and_the_association_stay()
    {
        ActorSystem here = Start(_authority.Node()), there = Start(_authority.Node());
        ActorSelection echo = Echo(here, there);

        await Assert.ThrowsAsync<AskTimeoutException>(() => echo.Ask<string>(new string('x', 2_000_000), TimeSpan.FromSeconds(1)));

        Assert.Equal("still here", await echo.Ask<string>("still here", Patience));
    }

    [Fact]
    public async Task A_system_of_another_authority_must_reach_nobody_and_end_nobody()
    {
        ActorSystem here = Start(_authority.Node()), foreign = Start(_stranger.Node());

        await AssertSilentAsync(Echo(foreign, here)); // it dials us
        await AssertSilentAsync(Echo(here, foreign)); // we dial it, as the address of a node that was lost, say

        await AssertAliveAsync(here);
        Assert.True(_refused.Count > 0);
    }

    [Fact]
    public async Task A_system_under_another_name_than_its_certificates_must_not_be_talked_to()
    {
        ActorSystem here = Start(_authority.Node()), elsewhere = Start(_authority.Node("10.0.0.5"));

        await AssertSilentAsync(Echo(here, elsewhere));

        await AssertAliveAsync(here);
    }

    [Fact]
    public async Task Garbage_at_the_address_of_a_node_must_not_end_whoever_dials_it()
    {
        ActorSystem here = Start(_authority.Node());
        using var impostor = new TcpListener(IPAddress.Loopback, 0);
        impostor.Start();
        Task answers = AnswerAsync(impostor);
        ActorSelection echo = here.ActorSelection($"akka.ssl.tcp://test@{impostor.LocalEndpoint}/user/echo");

        await AssertSilentAsync(echo);

        impostor.Stop();
        await answers;
        await AssertAliveAsync(here);
    }

    [Fact]
    public async Task Strangers_at_the_port_must_be_refused_counted_and_do_no_harm()
    {
        ActorSystem here = Start(_authority.Node(), handshakeTimeout: "300ms"), there = Start(_authority.Node());
        ActorSelection echo = Echo(there, here);
        Assert.Equal("before", await echo.Ask<string>("before", Patience));
        var endpoint = new IPEndPoint(IPAddress.Loopback, AddressOf(here).Port!.Value);
        using X509Certificate2 foreign = _stranger.Issue("127.0.0.1");
        using var silent = new TcpClient();
        await silent.ConnectAsync(endpoint);
        for (int i = 0; i < 10; i++)
        {
            await KnockAsync(endpoint, stream => stream.WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).AsTask());
            await KnockAsync(endpoint, stream => ShakeAsync(stream, null));
            await KnockAsync(endpoint, stream => ShakeAsync(stream, foreign));
            Assert.Equal("meanwhile", await echo.Ask<string>("meanwhile", Patience));
        }

        Assert.Equal(0, await silent.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(Patience)); // closed at the deadline
        await AssertAliveAsync(here);
        while (_refused.Count < 31)
            await Task.Yield();
        Assert.Equal(31, _refused.Count);
    }

    [Fact]
    public async Task A_frame_without_end_must_close_the_connection_only()
    {
        ActorSystem here = Start(_authority.Node()), there = Start(_authority.Node());
        ActorSelection echo = Echo(there, here);
        using X509Certificate2 member = _authority.Issue("127.0.0.1");
        await KnockAsync(new IPEndPoint(IPAddress.Loopback, AddressOf(here).Port!.Value), async stream =>
        {
            SslStream encrypted = await ShakeAsync(stream, member);
            await encrypted.WriteAsync(new byte[] { 0xff, 0xff, 0xff, 0x7f, 1, 2, 3 });
            byte[] answer = new byte[100];
            while (await encrypted.ReadAsync(answer).AsTask().WaitAsync(Patience) > 0)
            {
            }
        });

        Assert.Equal("still here", await echo.Ask<string>("still here", Patience));
    }

    [Fact]
    public void An_address_in_use_must_be_named()
    {
        ActorSystem first = Start(_authority.Node());
        int port = AddressOf(first).Port!.Value;

        Exception error = Assert.ThrowsAny<Exception>(() => Start(_authority.Node(), port: port));

        Assert.Contains($"127.0.0.1:{port}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_system_behind_another_address_must_be_reached_there()
    {
        using var front = new TcpListener(IPAddress.Loopback, 0);
        front.Start();
        int port = ((IPEndPoint)front.LocalEndpoint).Port;
        int own = FreePort();
        ActorSystem here = Start(_authority.Node()), behind = Start(_authority.Node(), port: own, advertised: port);
        Assert.Equal(port, AddressOf(behind).Port);
        Task forwarding = ForwardAsync(front, own);

        Assert.Equal("there", await Echo(here, behind).Ask<string>("there", Patience));
        Assert.Equal("and back", await Echo(behind, here).Ask<string>("and back", Patience));

        front.Stop();
        await forwarding;
    }

    private ActorSystem Start(TlsIdentity identity, string handshakeTimeout = "5s", int port = 0, int advertised = 0)
    {
        Config config = ConfigurationFactory.ParseString($$"""
            akka.actor.provider = remote
            akka.loglevel = OFF
            akka.stdout-loglevel = OFF
            akka.remote {
              enabled-transports = ["akka.remote.tls"]
              retry-gate-closed-for = 100ms
              tls {
                transport-class = "Llama3Cluster.Actors.Remoting.TlsTransport, Llama3Cluster.Actors"
                applied-adapters = []
                hostname = "127.0.0.1"
                port = {{port}}
                {{(advertised == 0 ? "" : $"public-hostname = \"127.0.0.1\", public-port = {advertised}")}}
                maximum-frame-size = 1000000b
                connect-timeout = 5s
                handshake-timeout = {{handshakeTimeout}}
              }
            }
            """);
        var system = ActorSystem.Create("test", ActorSystemSetup.Create(BootstrapSetup.Create().WithConfig(config), new TlsSetup(identity, _refused)));
        _systems.Add(system);
        system.ActorOf(Props.Create<EchoActor>(), "echo");
        return system;
    }

    private static Address AddressOf(ActorSystem system) => ((ExtendedActorSystem)system).Provider.DefaultAddress;

    private static ActorSelection Echo(ActorSystem from, ActorSystem to) => from.ActorSelection($"{AddressOf(to)}/user/echo");

    private static Task<AskTimeoutException> AssertSilentAsync(ActorSelection echo) =>
        Assert.ThrowsAsync<AskTimeoutException>(() => echo.Ask<string>("anybody there?", TimeSpan.FromSeconds(2)));

    private static async Task AssertAliveAsync(ActorSystem system)
    {
        Assert.False(CoordinatedShutdown.Get(system).ShutdownReason is { } reason, "the system is shutting down");
        Assert.Equal("alive", await system.ActorSelection("/user/echo").Ask<string>("alive", Patience));
    }

    private static async Task KnockAsync(IPEndPoint endpoint, Func<NetworkStream, Task> talk)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(endpoint);
        NetworkStream stream = client.GetStream();
        try
        {
            await talk(stream);
            while (await stream.ReadAsync(new byte[1000]).AsTask().WaitAsync(Patience) > 0)
            {
            }
        }
        catch (Exception error) when (error is IOException or AuthenticationException)
        {
            // Refused: that is what we wait for.
        }
    }

    private static async Task<SslStream> ShakeAsync(NetworkStream stream, X509Certificate2? certificate)
    {
        var encrypted = new SslStream(stream, true, (_, shown, _, _) => shown is not null);
        await encrypted.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "127.0.0.1",
            ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
        });
        return encrypted;
    }

    private static async Task AnswerAsync(TcpListener listener)
    {
        try
        {
            while (true)
            {
                using TcpClient client = await listener.AcceptTcpClientAsync();
                await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Stopped.
        }
    }

    // Connections to one address go to another, until the listener is stopped.
    private static async Task ForwardAsync(TcpListener front, int port)
    {
        try
        {
            while (true)
                _ = PipeAsync(await front.AcceptTcpClientAsync(), port);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Stopped.
        }
    }

    private static async Task PipeAsync(TcpClient dialed, int port)
    {
        using (dialed)
        using (var inner = new TcpClient())
        {
            await inner.ConnectAsync(IPAddress.Loopback, port);
            NetworkStream outside = dialed.GetStream(), inside = inner.GetStream();
            await Task.WhenAny(outside.CopyToAsync(inside), inside.CopyToAsync(outside));
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private sealed class EchoActor : UntypedActor
    {
        protected override void OnReceive(object message) => Sender.Tell(message);
    }
}
