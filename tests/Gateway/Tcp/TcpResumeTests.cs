using System.Net;
using System.Net.Sockets;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Tcp;

public sealed class TcpResumeTests
{
    private const string Answer = "Hé🐟lo, world!";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly GenerationOptions Hello = new() { Prompt = new Prompt.Text("Hi") };

    [Fact]
    public async Task An_answer_must_go_on_at_the_next_gateway_when_the_first_is_lost()
    {
        // The first gateway falls silent after five tokens, until it is gone.
        var first = new FakeInferenceService { Answer = _ => Answer };
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        first.BeforeToken = (_, index, cancellation) =>
        {
            if (index < 5)
                return Task.CompletedTask;
            reached.TrySetResult();
            return Task.Delay(Timeout.Infinite, cancellation);
        };
        var second = new FakeInferenceService { Answer = _ => Answer };
        TcpHost lost = await TcpHost.StartAsync(service: first);
        await using TcpHost next = await TcpHost.StartAsync(service: second);
        await using Llama3ClusterClient client = await Llama3ClusterClient.ConnectAsync([Of(lost), Of(next)]);
        await using Generation generation = await client.StartAsync(Hello with { StopStrings = ["!"] });
        Task<List<GenerationUpdate>> reading = TcpClientTests.ReadAsync(generation);
        await reached.Task.WaitAsync(Patience);
        second.Requests.Enqueue(Assert.Single(first.Requests)); // its log is known to the whole cluster

        await lost.DisposeAsync();

        List<GenerationUpdate> updates = await reading.WaitAsync(Patience);
        Assert.Equal(Answer[..^1], string.Concat(updates.Select(update => update.Text)));
        Assert.Equal(Enumerable.Range(0, updates.Count(update => update.Token is not null)), updates.Where(update => update.Token is not null).Select(update => update.Token!.Index));
        Assert.Equal(EndReason.StopString, generation.Result.Reason);
        Assert.Equal(1, client.Reconnections);
        Assert.Equal(FakeInferenceService.ModelName, (await client.GetModelAsync().WaitAsync(Patience)).Name);
    }

    [Fact]
    public async Task A_client_without_another_gateway_must_be_told_that_the_answer_broke_off()
    {
        var service = new FakeInferenceService { BeforeToken = (_, _, cancellation) => Task.Delay(Timeout.Infinite, cancellation) };
        TcpHost host = await TcpHost.StartAsync(service: service);
        await using Llama3ClusterClient client = await host.ConnectAsync(new ClientOptions { ReconnectFor = TimeSpan.FromMilliseconds(300) });
        await using Generation generation = await client.StartAsync(Hello);

        await host.DisposeAsync();

        await Assert.ThrowsAsync<IOException>(() => TcpClientTests.ReadAsync(generation).WaitAsync(Patience));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(6)]
    public async Task An_attached_answer_must_begin_after_the_last_index(int last)
    {
        await using TcpHost host = await TcpHost.StartAsync(service: new FakeInferenceService { Answer = _ => Answer });
        List<ServerMessage> whole = await TalkAsync(host, null, new ClientMessage.Generate(1, new Prompt.Text("Hi"), new(), null, false, []));
        string id = Assert.IsType<ServerMessage.Started>(whole[1]).Id!;

        List<ServerMessage> rest = await TalkAsync(host, null, new ClientMessage.Attach(9, id, last));

        Assert.Equal(id, Assert.IsType<ServerMessage.Started>(rest[1]).Id);
        Assert.Equal(
            whole.OfType<ServerMessage.Token>().Where(token => token.Index > last).Select(token => (token.Index, token.Text)),
            rest.OfType<ServerMessage.Token>().Select(token => (token.Index, token.Text)));
        Assert.IsType<ServerMessage.Finished>(rest[^1]);
    }

    [Fact]
    public async Task An_answer_must_belong_to_the_key_that_asked_for_it()
    {
        await using TcpHost host = await TcpHost.StartAsync(new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, ApiKeys = ["one", "two"] });
        List<ServerMessage> whole = await TalkAsync(host, "one", new ClientMessage.Generate(1, new Prompt.Text("Hi"), new(), null, false, []));
        string id = Assert.IsType<ServerMessage.Started>(whole[1]).Id!;

        Assert.IsType<ServerMessage.Finished>((await TalkAsync(host, "one", new ClientMessage.Attach(1, id, -1)))[^1]);
        Assert.Equal(FailureCode.NotFound, Assert.IsType<ServerMessage.Failed>((await TalkAsync(host, "two", new ClientMessage.Attach(1, id, -1)))[^1]).Code);
        Assert.Equal(FailureCode.NotFound, Assert.IsType<ServerMessage.Failed>((await TalkAsync(host, "one", new ClientMessage.Attach(1, "no id", -1)))[^1]).Code);
    }

    [Fact]
    public async Task A_client_of_the_first_version_must_be_served_as_before()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        using NetworkStream stream = await host.ConnectRawAsync();
        await stream.WriteAsync(RawFrames.Of(
            new ClientMessage.Hello(1, null, 1), new ClientMessage.Generate(1, new Prompt.Text("Hi"), new(), 3, false, [])));

        List<ServerMessage> messages = await ReadToEndAsync(stream);

        Assert.Equal(1, Assert.IsType<ServerMessage.Welcome>(messages[0]).Version);
        Assert.Null(Assert.IsType<ServerMessage.Started>(messages[1]).Id);
        Assert.Equal(3, messages.OfType<ServerMessage.Token>().Count());
        Assert.False(Assert.Single(host.Service.Requests).Resumable);
    }

    [Fact]
    public async Task A_gateway_of_the_first_version_must_be_greeted_in_its_own_way()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeFirstVersionAsync(listener);

        await using Llama3ClusterClient client = await Llama3ClusterClient.ConnectAsync(
            "127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port).WaitAsync(Patience);

        await serving.WaitAsync(Patience);
    }

    // What a gateway of the first version says to a Hello with a range, and then to one without.
    private static async Task ServeFirstVersionAsync(TcpListener listener)
    {
        foreach (int elements in (int[])[4, 3])
        {
            using Socket socket = await listener.AcceptSocketAsync();
            using var stream = new NetworkStream(socket);
            byte[] hello = new byte[64];
            int length = await stream.ReadAsync(hello);
            Assert.Equal(0x90 + elements, hello[4]);
            await stream.WriteAsync(elements == 4
                ? RawFrames.Of(new ServerMessage.Goodbye("Version 1 has no client message 1 of 4 elements."))
                : RawFrames.Of(new ServerMessage.Welcome(1)));
            Assert.NotEqual(0, length);
        }
    }

    private static DnsEndPoint Of(TcpHost host) => new("127.0.0.1", host.Endpoint.LocalEndPoint.Port);

    private static async Task<List<ServerMessage>> TalkAsync(TcpHost host, string? key, ClientMessage request)
    {
        using NetworkStream stream = await host.ConnectRawAsync();
        await stream.WriteAsync(RawFrames.Of(new ClientMessage.Hello(TcpProtocol.Newest, key, TcpProtocol.Oldest), request));
        return await ReadToEndAsync(stream);
    }

    // Up to the answer's end.
    private static async Task<List<ServerMessage>> ReadToEndAsync(NetworkStream stream)
    {
        var reader = new FrameReader(System.IO.Pipelines.PipeReader.Create(stream));
        var messages = new List<ServerMessage>();
        while (messages.Count == 0 || messages[^1] is not (ServerMessage.Finished or ServerMessage.Failed or ServerMessage.Goodbye))
        {
            messages.Add(await reader.ReadAsync(ServerMessageCodec.Read, 1 << 20, CancellationToken.None).AsTask().WaitAsync(Patience)
                ?? throw new EndOfStreamException());
        }

        return messages;
    }
}
