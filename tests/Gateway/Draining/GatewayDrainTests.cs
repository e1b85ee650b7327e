using System.Net;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tests.Fakes;
using Llama3Cluster.Gateway.Tests.Http;
using Llama3Cluster.Gateway.Tests.Tcp;

namespace Llama3Cluster.Gateway.Tests.Draining;

public sealed class GatewayDrainTests
{
    private const string Stream = """{"model":"test/model-1","prompt":"Hi","stream":true}""";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_gateway_that_drains_must_refuse_new_requests_and_close_what_does_not_end()
    {
        int held = 0;
        var service = new FakeInferenceService
        {
            BeforeToken = (_, index, cancellation) =>
            {
                if (index < 3)
                    return Task.CompletedTask;
                Interlocked.Increment(ref held);
                return Task.Delay(Timeout.Infinite, cancellation);
            },
        };
        await using HttpHost host = await HttpHost.StartAsync(service: service, drain: new DrainOptions(TimeSpan.Zero));
        Task<HttpResponseMessage> running = host.PostAsync("/v1/completions", Stream);
        Task<HttpResponseMessage> whole = host.PostAsync("/v1/completions", Stream.Replace("true", "false", StringComparison.Ordinal));
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref held) == 2, Patience));

        await host.Drain.StoppingAsync(CancellationToken.None).WaitAsync(Patience);

        string text = await (await running).Content.ReadAsStringAsync();
        Assert.Equal(3, HttpHost.Events(text).Count); // "Hel", and no end
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await whole).StatusCode);
        using HttpResponseMessage refused = await host.PostAsync("/v1/completions", Stream);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(1), refused.Headers.RetryAfter!.Delta);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await host.Client.GetAsync("/health/ready")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await host.Client.GetAsync("/health/live")).StatusCode);
        Assert.Equal(0, service.Running);
    }

    [Fact]
    public async Task An_answer_that_ends_in_time_must_end_as_ever()
    {
        (FakeInferenceService service, Task reached) = HeldAt(3, out TaskCompletionSource release);
        await using HttpHost host = await HttpHost.StartAsync(service: service, drain: new DrainOptions(TimeSpan.FromMinutes(5)));
        Task<HttpResponseMessage> running = host.PostAsync("/v1/completions", Stream);
        await reached.WaitAsync(Patience);

        Task stopping = host.Drain.StoppingAsync(CancellationToken.None);
        Assert.False(stopping.IsCompleted);
        release.SetResult();

        await stopping.WaitAsync(Patience);
        Assert.EndsWith("data: [DONE]\n\n", await (await running).Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData(2)]
    [InlineData(1)]
    public async Task Clients_that_can_go_on_elsewhere_must_do_so_at_once_if_there_is_another_gateway(int gateways)
    {
        (FakeInferenceService service, Task reached) = HeldAt(3, out TaskCompletionSource release);
        service.Snapshot = FakeCluster.Ready with { Nodes = [.. FakeCluster.Ready.Nodes.Select((node, i) => node with { Roles = i < gateways ? ["gateway"] : ["stage"] })] };
        await using TcpHost host = await TcpHost.StartAsync(service: service, drainOptions: new DrainOptions(TimeSpan.FromMinutes(5)));
        var other = new FakeInferenceService();
        await using TcpHost next = await TcpHost.StartAsync(service: other);
        await using Llama3ClusterClient client = await Llama3ClusterClient.ConnectAsync(
            [new DnsEndPoint("127.0.0.1", host.Endpoint.LocalEndPoint.Port), new DnsEndPoint("127.0.0.1", next.Endpoint.LocalEndPoint.Port)]);
        await using Generation generation = await client.StartAsync(new() { Prompt = new Prompt.Text("Hi") });
        await reached.WaitAsync(Patience);
        other.Requests.Enqueue(Assert.Single(service.Requests));

        Task stopping = host.Drain.StoppingAsync(CancellationToken.None);
        if (gateways == 1)
            release.SetResult();

        await stopping.WaitAsync(Patience);
        Assert.Equal("Hello, world!", string.Concat((await TcpClientTests.ReadAsync(generation).WaitAsync(Patience)).Select(update => update.Text)));
        Assert.Equal(gateways - 1, client.Reconnections);
    }

    private static (FakeInferenceService Service, Task Reached) HeldAt(int token, out TaskCompletionSource release)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        release = released;
        var service = new FakeInferenceService
        {
            BeforeToken = (_, index, cancellation) =>
            {
                if (index < token)
                    return Task.CompletedTask;
                reached.TrySetResult();
                return released.Task.WaitAsync(cancellation);
            },
        };
        return (service, reached.Task);
    }
}
