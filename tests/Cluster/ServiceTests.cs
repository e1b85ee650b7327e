using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>How the whole program meets too much work, clients that go away, and strangers on its ports.</summary>
public sealed class ServiceTests
{
    private static readonly Uri Completions = new("/v1/completions", UriKind.Relative);

    [Fact]
    public async Task A_full_queue_must_answer_429_and_say_when_to_come_again()
    {
        await using SingleProcess server = await SingleProcess.StartAsync("--max-sequences", "1", "--max-waiting", "1");

        // One is computed and one waits, whatever the order in which they arrive; each takes 490 steps.
        HttpResponseMessage[] answers = await Task.WhenAll(
            Enumerable.Range(0, 16).Select(_ => server.Http.PostAsJsonAsync(Completions, Request(tokens: 490, stream: false))));

        HttpResponseMessage[] refused = [.. answers.Where(answer => answer.StatusCode == HttpStatusCode.TooManyRequests)];
        Assert.NotEmpty(refused);
        Assert.All(refused, answer => Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60));
        Assert.All(answers.Except(refused), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.True(refused.Length < answers.Length, "every request was refused");
    }

    [Fact]
    public async Task A_client_that_goes_away_must_leave_no_kv_blocks_behind()
    {
        await using SingleProcess server = await SingleProcess.StartAsync("--max-sequences", "1");
        HttpResponseMessage stream = await StartStreamAsync(server);
        await using (Stream body = await stream.Content.ReadAsStreamAsync())
            Assert.NotEqual(0, await body.ReadAsync(new byte[16])); // tokens flow

        stream.Dispose();

        // The only slot is free again long before the abandoned answer's 490 tokens could have been made.
        using HttpResponseMessage next = await server.Http.PostAsJsonAsync(Completions, Request(tokens: 5, stream: false));
        Assert.Equal(HttpStatusCode.OK, next.StatusCode);
        JsonElement replica = (await server.Http.GetFromJsonAsync<JsonElement>("/cluster")).GetProperty("replicas")[0];
        while (replica.GetProperty("kv_blocks_used").GetInt32() > 0 || replica.GetProperty("running").GetInt32() > 0)
            replica = (await server.Http.GetFromJsonAsync<JsonElement>("/cluster")).GetProperty("replicas")[0]; // told once a second
        Assert.Equal(0, replica.GetProperty("waiting").GetInt32());
    }

    [Fact]
    public async Task A_prompt_that_does_not_fit_must_be_refused_with_the_numbers()
    {
        await using SingleProcess server = await SingleProcess.StartAsync();

        using HttpResponseMessage answer = await server.Http.PostAsJsonAsync(Completions, Request(tokens: 600, stream: false));

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        string body = await answer.Content.ReadAsStringAsync();
        Assert.Contains("context_length_exceeded", body, StringComparison.Ordinal);
        Assert.Contains("512", body, StringComparison.Ordinal);
        Assert.Contains("600", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Strangers_on_every_port_must_do_no_harm()
    {
        await using SingleProcess server = await SingleProcess.StartAsync();
        var random = new Random(3);
        foreach (int port in (int[])[server.TcpPort, server.ClusterPort, server.Http.BaseAddress!.Port])
        {
            for (int i = 0; i < 20; i++)
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(IPAddress.Loopback, port);
                byte[] garbage = new byte[random.Next(1, 4096)];
                random.NextBytes(garbage);
                await socket.SendAsync(garbage);
            }
        }

        using HttpResponseMessage answer = await server.Http.PostAsJsonAsync(Completions, Request(tokens: 5, stream: false));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Theory]
    [InlineData("there is no file or folder", "serve", "--model", "/no/such/model")]
    [InlineData("takes a whole number from 0 to 1026, not \"-3\"", "serve", "--stages", "-3")]
    [InlineData("exceeds the 10 that a model of 8 layers can be cut into", "serve", "--stages", "11")]
    [InlineData("set --api-key", "serve", "--http", "192.0.2.1:80")]
    [InlineData("set a secret", "serve", "--cluster", "192.0.2.1:80")]
    [InlineData("give a gateway's cluster address with --seed", "node")]
    [InlineData("token 2048 is outside the model's vocabulary of 2048", "logits", "--tokens", "1,2048")]
    public async Task What_cannot_be_done_must_be_said_and_end_with_an_error(string message, params string[] arguments)
    {
        await using NodeProcess process = NodeProcess.Start(arguments);

        Assert.Equal(1, await process.ExitAsync());

        Assert.Contains(message, process.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", process.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--http")]
    [InlineData("--tcp")]
    [InlineData("--cluster")]
    public async Task An_address_in_use_must_be_named_and_end_the_start(string option)
    {
        int taken = NodeProcess.FreePort();
        using var holder = new TcpListener(IPAddress.Loopback, taken);
        holder.Start();
        string[] addresses = [.. ((string[])["--http", "--tcp", "--cluster"]).SelectMany(
            name => (string[])[name, $"127.0.0.1:{(name == option ? taken : NodeProcess.FreePort())}"])];
        await using NodeProcess process = NodeProcess.Start(["serve", .. addresses]);

        Assert.Equal(1, await process.ExitAsync());

        Assert.Contains($"127.0.0.1:{taken}", process.Output.Split('\n').Last(line => line.StartsWith("error: ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    private static async Task<HttpResponseMessage> StartStreamAsync(SingleProcess server)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, Completions) { Content = JsonContent.Create(Request(tokens: 490, stream: true)) };
        return await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private static object Request(int tokens, bool stream) =>
        new { model = "demo", prompt = "Once upon a time", max_tokens = tokens, temperature = 0, stream, ignore_eos = true };
}
