using System.Net;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>What clients see when a gateway is lost or stopped: half of them read events over HTTP, half use the TCP client.</summary>
public sealed class GatewayFailureTests
{
    private const int Streams = 16;
    private const int Tokens = 300;

    private static readonly HttpClient Http = new() { Timeout = Timeout.InfiniteTimeSpan };
    private static readonly string[] Prompts = [.. Enumerable.Range(0, Streams).Select(i => $"Once upon a time, {i} little rabbits")];

    [Fact]
    public async Task A_gateway_that_is_killed_or_stopped_must_cost_no_stream_a_token()
    {
        await using GatewayPair pair = await GatewayPair.StartAsync(nodes: 2, "--drain", "1");
        string[] wanted = await Load.Start(pair).TextsAsync();

        await LoseAsync(0, () => pair.KillAsync(0));
        pair.Start(0);
        await pair.ReadyAsync();

        await LoseAsync(1, async () => Assert.Equal(0, await pair.InterruptAsync(1)));

        async Task LoseAsync(int gateway, Func<Task> end)
        {
            Load load = Load.Start(pair);
            await load.FirstTextsAsync();
            await end();
            Assert.Equal(wanted, await load.TextsAsync());
            Assert.True(load.Resumptions > 0, $"no stream was at gateway {gateway}");
        }
    }

    /// <summary>The streams of all prompts, over both gateways.</summary>
    private sealed class Load
    {
        private readonly List<ResumingStream> _http = [];
        private readonly List<TcpStream> _tcp = [];
        private readonly List<Task<string>> _texts = [];

        public int Resumptions => _http.Sum(stream => stream.Resumptions) + _tcp.Sum(stream => stream.Resumptions);

        public static Load Start(GatewayPair pair)
        {
            var load = new Load();
            for (int i = 0; i < Streams; i++)
            {
                int gateway = i / 2 % 2;
                if (i % 2 == 0)
                {
                    load._http.Add(new ResumingStream(Http, pair.Addresses, Prompts[i], Tokens));
                    load._texts.Add(load._http[^1].ReadAsync(gateway));
                }
                else
                {
                    load._tcp.Add(new TcpStream());
                    load._texts.Add(load._tcp[^1].ReadAsync(pair, gateway, Prompts[i]));
                }
            }

            return load;
        }

        public Task FirstTextsAsync() =>
            Task.WhenAll([.. _http.Select(stream => stream.FirstTextAsync()), .. _tcp.Select(stream => stream.FirstText.Task)]);

        public Task<string[]> TextsAsync() => Task.WhenAll(_texts).WaitAsync(TimeSpan.FromSeconds(100));
    }

    private sealed class TcpStream
    {
        public TaskCompletionSource FirstText { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Resumptions { get; private set; }

        public async Task<string> ReadAsync(GatewayPair pair, int first, string prompt)
        {
            DnsEndPoint[] gateways = [.. Enumerable.Range(0, 2).Select(i => new DnsEndPoint("127.0.0.1", pair.TcpPorts[(first + i) % 2]))];
            await using Llama3ClusterClient client = await Llama3ClusterClient.ConnectAsync(gateways);
            var options = new GenerationOptions
            {
                Prompt = new Prompt.Text(prompt),
                Sampling = SamplingParameters.Greedy,
                MaxTokens = Tokens,
                IgnoreEnd = true,
            };
            var text = new List<string>();
            int next = 0;
            await foreach (GenerationUpdate update in client.GenerateAsync(options))
            {
                text.Add(update.Text);
                if (update.Token is { } token)
                    Assert.Equal(next++, token.Index);
                FirstText.TrySetResult();
            }

            Resumptions = client.Reconnections;
            Assert.Equal(Tokens, next);
            return string.Concat(text);
        }
    }
}
