namespace Llama3Cluster.Cluster.Tests;

/// <summary>What clients see when a gateway is lost.</summary>
public sealed class GatewayFailureTests
{
    private const int Streams = 16;
    private const int Tokens = 420;

    [Fact]
    public async Task A_killed_gateway_must_cost_no_stream_a_token()
    {
        await using GatewayPair pair = await GatewayPair.StartAsync(nodes: 2);
        string[] prompts = [.. Enumerable.Range(0, Streams).Select(i => $"Once upon a time, {i} little rabbits")];
        string[] wanted = await Task.WhenAll(prompts.Select((prompt, i) => new ResumingStream(pair.Addresses, prompt, Tokens).ReadAsync(i)));

        for (int victim = 0; ; victim++)
        {
            ResumingStream[] streams = [.. prompts.Select(prompt => new ResumingStream(pair.Addresses, prompt, Tokens))];
            Task<string>[] answers = [.. streams.Select((stream, i) => stream.ReadAsync(i))];
            await Task.WhenAll(streams.Select(stream => stream.FirstTextAsync()));

            await pair.KillAsync(victim);
            string[] got = await Task.WhenAll(answers);

            Assert.Equal(wanted, got);
            Assert.Contains(streams, stream => stream.Resumptions > 0);
            if (victim == 1)
                break;
            pair.Start(victim);
            await pair.ReadyAsync();
        }
    }
}
