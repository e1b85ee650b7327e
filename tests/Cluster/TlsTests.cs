using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>A cluster under mutual TLS, and the strangers that knock at its ports while it works.</summary>
public sealed class TlsTests : IDisposable
{
    private const int Streams = 16;
    private const int Tokens = 128;

    private readonly string _folder = Directory.CreateTempSubdirectory("llama3cluster-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Strangers_must_be_refused_while_sixteen_streams_go_on()
    {
        string own = await CertificatesAsync("own"), foreign = await CertificatesAsync("foreign");
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0, "--tls", own);
        int data = NodeProcess.FreePort();
        cluster.AddNode("--tls", own, "--data", $"127.0.0.1:{data}");
        cluster.AddNode("--tls", own);
        await cluster.Gateway.LineAsync("has passed through its 2 stages");
        string[] prompts = [.. Enumerable.Range(0, Streams).Select(i => $"Once upon a time, {i} little rabbits")];
        string[] alone = new string[Streams];
        for (int i = 0; i < Streams; i++)
            alone[i] = await cluster.CompleteAsync(prompts[i], Tokens);

        await using NodeProcess other = NodeProcess.Start("node", "--seed", cluster.Seed, "--tls", foreign);
        await using NodeProcess plain = NodeProcess.Start("node", "--seed", cluster.Seed);
        int[] ports = [int.Parse(cluster.Seed.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture), data];
        Task knocking = KnockAsync(ports, foreign);
        do
        {
            string[] together = await Task.WhenAll(prompts.Select(prompt => cluster.CompleteAsync(prompt, Tokens, stream: true)));
            Assert.Equal(alone, together);
        }
        while (!knocking.IsCompleted);
        await knocking;

        Assert.Equal(3, (await cluster.SnapshotAsync()).GetProperty("nodes").GetArrayLength());
        Assert.DoesNotContain("epoch is over", cluster.Gateway.Output, StringComparison.Ordinal);
        string metrics = await cluster.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        Assert.Matches("""llama3cluster_refused_peers_total\{port="cluster",reason="certificate"\} [1-9]""", metrics);
        Assert.Matches("""llama3cluster_refused_peers_total\{port="cluster",reason="handshake"\} [1-9]""", metrics);
        Assert.Matches("""llama3cluster_refused_peers_total\{port="cluster",reason="timeout"\} [1-9]""", metrics);
        Assert.Equal(3, Regex.Count(cluster.Gateway.Output, "refused .* at the cluster port")); // once for each reason, however often they try
        await cluster.Nodes[0].LineAsync("refused .* at the data port");
        Assert.All(cluster.Nodes, node => Assert.False(node.HasExited));
    }

    [Fact]
    public async Task A_stranger_at_the_address_of_a_lost_node_must_not_end_the_others()
    {
        string own = await CertificatesAsync("own"), foreign = await CertificatesAsync("foreign");
        await using LoopbackCluster cluster = await LoopbackCluster.StartAsync(nodes: 0, "--tls", own);
        int port = NodeProcess.FreePort();
        cluster.AddNode("--tls", own, "--cluster", $"127.0.0.1:{port}");
        cluster.AddNode("--tls", own);
        await cluster.Gateway.LineAsync("has passed through its 2 stages");
        string before = await cluster.CompleteAsync("Once upon a time", 40);

        cluster.Nodes[0].Kill();
        await cluster.Nodes[0].ExitAsync();
        await using NodeProcess impostor = NodeProcess.Start("serve", "--stages", "0", "--tls", foreign, "--cluster", $"127.0.0.1:{port}",
            "--http", $"127.0.0.1:{NodeProcess.FreePort()}", "--tcp", $"127.0.0.1:{NodeProcess.FreePort()}");

        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
        // The others have forgotten the address; a node that still has it as a seed dials it.
        NodeProcess third = cluster.AddNode("--tls", own, "--seed", $"127.0.0.1:{port}");
        await third.LineAsync("dialed as a node, but its certificate .* is not of this cluster's authority");
        Assert.Equal(before, await cluster.CompleteAsync("Once upon a time", 40));
        Assert.False(cluster.Gateway.HasExited);
        Assert.False(cluster.Nodes[1].HasExited);
        Assert.False(third.HasExited);
    }

    [Fact]
    public async Task Certificates_that_cannot_work_must_be_said_at_the_start()
    {
        string own = await CertificatesAsync("own");
        await RunAsync(1, "is missing", "serve", "--tls-ca", Path.Combine(own, "ca.crt"));
        await RunAsync(1, "one or the other", "serve", "--tls", own, "--tls-key", Path.Combine(own, "node.key"));
        await RunAsync(1, "cannot be read", "node", "--seed", "127.0.0.1:1", "--tls", _folder);
        await RunAsync(1, "so others would refuse it at 192.0.2.1:80", "serve", "--tls", own, "--cluster", "192.0.2.1:80");
        await RunAsync(1, "so others would refuse it at 192.0.2.1:80", "serve", "--tls", own, "--advertise-cluster", "192.0.2.1:80");
        await RunAsync(1, "so others would refuse it at 192.0.2.1:81", "serve", "--tls", own, "--advertise-data", "192.0.2.1:81");
    }

    private async Task<string> CertificatesAsync(string name)
    {
        string folder = Path.Combine(_folder, name);
        await RunAsync(0, "--tls", "certs", "--out", folder);
        return Path.Combine(folder, "localhost");
    }

    private static async Task RunAsync(int exit, string says, params string[] arguments)
    {
        await using NodeProcess process = NodeProcess.Start(arguments);
        Assert.Equal(exit, await process.ExitAsync());
        Assert.Contains(says, process.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", process.Output, StringComparison.Ordinal);
    }

    // Garbage, no certificate and a foreign one over and over, and one that says nothing until it is closed.
    private static async Task KnockAsync(int[] ports, string foreign)
    {
        using var certificate = X509Certificate2.CreateFromPemFile(Path.Combine(foreign, "node.crt"), Path.Combine(foreign, "node.key"));
        SslStreamCertificateContext shown = SslStreamCertificateContext.Create(certificate, null, offline: true);
        var random = new Random(11);
        List<TcpClient> silent = [.. ports.Select(_ => new TcpClient())];
        for (int i = 0; i < ports.Length; i++)
            await silent[i].ConnectAsync(IPAddress.Loopback, ports[i]);
        for (int round = 0; round < 20; round++)
        {
            foreach (int port in ports)
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, port);
                byte[] garbage = new byte[random.Next(6, 4096)];
                random.NextBytes(garbage);
                garbage[0] = 0xff; // whatever it is, it is no handshake
                await client.GetStream().WriteAsync(garbage);
                await EndAsync(client.GetStream());
                await ShakeAsync(port, null);
                await ShakeAsync(port, shown);
            }
        }

        foreach (TcpClient client in silent)
        {
            await EndAsync(client.GetStream());
            client.Dispose();
        }
    }

    private static async Task ShakeAsync(int port, SslStreamCertificateContext? shown)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port);
        await using var stream = new SslStream(client.GetStream(), false, (_, certificate, _, _) => certificate is not null);
        try
        {
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "127.0.0.1", ClientCertificateContext = shown });
            await EndAsync(stream);
        }
        catch (Exception error) when (error is AuthenticationException or IOException)
        {
            // Refused at once.
        }
    }

    private static async Task EndAsync(Stream stream)
    {
        try
        {
            while (await stream.ReadAsync(new byte[1000]) > 0)
            {
            }
        }
        catch (IOException)
        {
            // Closed before it had read everything, or with an alert.
        }
    }
}
