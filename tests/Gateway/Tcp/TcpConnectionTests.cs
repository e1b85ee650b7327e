using System.Net.Sockets;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Tcp;

public sealed class TcpConnectionTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly GenerationOptions Hello = new() { Prompt = new Prompt.Text("Hi") };

    [Fact]
    public async Task A_cancelled_answer_must_end_so_and_free_the_generation()
    {
        await using TcpHost host = await TcpHost.StartAsync(service: HeldAt(3));
        await using Llama3ClusterClient client = await host.ConnectAsync();
        await using Generation generation = await client.StartAsync(Hello);
        await generation.CancelAsync();
        await TcpClientTests.ReadAsync(generation).WaitAsync(Patience);
        Assert.Equal(EndReason.Cancelled, generation.Result.Reason);
        await host.Service.EndedEarly.Task.WaitAsync(Patience);
    }

    [Fact]
    public async Task An_enumeration_that_is_left_must_cancel_only_its_own_generation()
    {
        var service = new FakeInferenceService();
        service.BeforeToken = (request, index, cancellation) =>
            index >= 3 && request.Sampling.Seed == 1 ? Task.Delay(Timeout.Infinite, cancellation) : Task.CompletedTask;
        await using TcpHost host = await TcpHost.StartAsync(service: service);
        await using Llama3ClusterClient client = await host.ConnectAsync();
        await foreach (GenerationUpdate update in client.GenerateAsync(Hello with { Sampling = new() { Seed = 1 } }))
        {
            if (update.Text == "l")
                break;
        }

        Assert.Equal(3, await service.EndedEarly.Task.WaitAsync(Patience));
        Assert.Equal(13, (await TcpClientTests.ReadAsync(await client.StartAsync(Hello))).Count);
    }

    [Fact]
    public async Task A_client_that_leaves_must_end_its_generations()
    {
        await using TcpHost host = await TcpHost.StartAsync(service: HeldAt(3));
        await using (Llama3ClusterClient client = await host.ConnectAsync())
        {
            await client.StartAsync(Hello);
            await client.StartAsync(Hello);
        }

        Assert.True(SpinWait.SpinUntil(() => host.Service.Running == 0 && host.Endpoint.Connections == 0, Patience));
        Assert.Equal(2, host.Service.Requests.Count);
    }

    [Fact]
    public async Task A_gateway_that_stops_must_end_what_runs_and_say_so()
    {
        TcpHost host = await TcpHost.StartAsync(service: HeldAt(3));
        await using Llama3ClusterClient client = await host.ConnectAsync(new ClientOptions { ReconnectFor = TimeSpan.Zero });
        await using Generation generation = await client.StartAsync(Hello);
        await host.DisposeAsync();
        await Assert.ThrowsAsync<IOException>(() => TcpClientTests.ReadAsync(generation).WaitAsync(Patience));
        IOException error = await Assert.ThrowsAsync<IOException>(() => client.GetModelAsync().WaitAsync(Patience));
        Assert.Contains("The gateway stops", error.InnerException?.Message);
        Assert.Equal(0, host.Service.Running);
    }

    [Fact]
    public async Task A_client_that_does_not_read_must_hold_its_generation_and_be_closed()
    {
        // A token is 16 KiB of text, so that the buffers of the system fill soon.
        var service = new FakeInferenceService();
        service.Model = service.Model with { Tokenizer = new WideTokenizer() };
        var options = new TcpEndpointOptions
        {
            EndPoint = TcpHost.AnyPort,
            SendQueueCapacity = 4,
            SendTimeout = TimeSpan.FromMilliseconds(300),
        };
        await using TcpHost host = await TcpHost.StartAsync(options, service);
        using NetworkStream stream = await host.ConnectRawAsync();
        await stream.WriteAsync(Frames(
            new ClientMessage.Hello(TcpProtocol.Newest, null, TcpProtocol.Oldest),
            new ClientMessage.Generate(1, new Prompt.Text("Hi"), new(), 1_000_000, true, [])));

        // What was made is what the system buffers and the queue hold, not the million tokens.
        Assert.InRange(await service.EndedEarly.Task.WaitAsync(Patience), 1, 10_000);
        Assert.True(SpinWait.SpinUntil(() => host.Endpoint.Connections == 0, Patience));
    }

    [Fact]
    public async Task More_requests_than_a_connection_may_have_must_be_refused()
    {
        await using TcpHost host = await TcpHost.StartAsync(
            new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, MaxRequestsPerConnection = 2 }, HeldAt(0));
        await using Llama3ClusterClient client = await host.ConnectAsync();
        await client.StartAsync(Hello);
        Generation second = await client.StartAsync(Hello);
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => client.StartAsync(Hello));
        Assert.Equal(FailureCode.QueueFull, error.Code);

        await second.CancelAsync();
        await TcpClientTests.ReadAsync(second).WaitAsync(Patience);
        await client.StartAsync(Hello);
    }

    [Fact]
    public async Task More_clients_than_allowed_must_be_turned_away()
    {
        await using TcpHost host = await TcpHost.StartAsync(
            new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, MaxConnections = 1 });
        await using Llama3ClusterClient first = await host.ConnectAsync();
        await Assert.ThrowsAsync<IOException>(() => host.ConnectAsync());
        await first.GetModelAsync();
    }

    [Fact]
    public async Task A_client_that_says_nothing_must_be_closed()
    {
        await using TcpHost host = await TcpHost.StartAsync(
            new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, HelloTimeout = TimeSpan.FromMilliseconds(50) });
        using NetworkStream stream = await host.ConnectRawAsync();
        List<ServerMessage> messages = await RawFrames.ReadToEndAsync(stream);
        Assert.Contains("No Hello", Assert.IsType<ServerMessage.Goodbye>(Assert.Single(messages)).Reason);
    }

    [Fact]
    public async Task An_address_in_use_must_end_the_start()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        IOException error = await Assert.ThrowsAsync<IOException>(() =>
            TcpHost.StartAsync(new TcpEndpointOptions { EndPoint = host.Endpoint.LocalEndPoint }));
        Assert.Contains(host.Endpoint.LocalEndPoint.ToString(), error.Message, StringComparison.Ordinal);
    }

    private static byte[] Frames(params ClientMessage[] messages) => RawFrames.Of(messages);

    private static FakeInferenceService HeldAt(int token) => new()
    {
        BeforeToken = (_, index, cancellation) => index < token ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancellation),
    };

    private sealed class WideTokenizer : ITokenizer
    {
        private static readonly byte[] Text = [.. Enumerable.Repeat((byte)'x', 16 * 1024)];

        public int VocabularySize => 256;

        public bool HasChatFormat => false;

        public IReadOnlySet<int> EndTokens { get; } = new HashSet<int>();

        public int[] Encode(Prompt prompt) => [1];

        public ReadOnlyMemory<byte> DecodeBytes(int token) => Text;
    }
}
