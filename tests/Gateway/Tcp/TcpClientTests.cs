using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Gateway.Tcp.Protocol;
using Llama3Cluster.Gateway.Tests.Fakes;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Tests.Tcp;

public sealed class TcpClientTests
{
    private static readonly GenerationOptions Hello = new() { Prompt = new Prompt.Text("Hi") };

    [Fact]
    public async Task Tokens_must_come_in_order_with_their_text()
    {
        await using TcpHost host = await TcpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "aé🐟" });
        await using Llama3ClusterClient client = await host.ConnectAsync();
        await using Generation generation = await client.StartAsync(Hello);
        List<GenerationUpdate> updates = await ReadAsync(generation);

        Assert.Equal(3, generation.PromptTokens);
        Assert.Equal(["a", "", "é", "", "", "", "🐟"], updates.Select(update => update.Text));
        Assert.Equal(Enumerable.Range(0, 7), updates.Select(update => update.Token!.Index));
        Assert.Equal(ByteTokenizer.Bytes("aé🐟"), updates.Select(update => update.Token!.Id));
        Assert.All(updates, update => Assert.Null(update.Token!.LogProb));
        Assert.Equal(new GenerationResult(EndReason.EndToken, 3, 8, FakeInferenceService.CachedTokens), generation.Result);
    }

    [Fact]
    public async Task Every_parameter_must_reach_the_generation()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        await using Llama3ClusterClient client = await host.ConnectAsync();
        var sampling = new SamplingParameters
        {
            Temperature = 0.5f,
            TopK = 7,
            TopP = 0.25f,
            MinP = 0.125f,
            RepetitionPenalty = 1.5f,
            FrequencyPenalty = -1,
            PresencePenalty = 2,
            LogitBias = new Dictionary<int, float> { [65] = -100, [66] = 2.5f },
            Seed = ulong.MaxValue,
            TopLogProbs = 4,
        };
        var chat = new Prompt.Chat([new("system", "a"), new("user", "b")]);
        foreach (Prompt prompt in new Prompt[] { new Prompt.Text("é"), new Prompt.Tokens([256, 65]), chat })
        {
            var options = new GenerationOptions { Prompt = prompt, Sampling = sampling, MaxTokens = 3, IgnoreEnd = true };
            await ReadAsync(await client.StartAsync(options));
        }

        GenerationRequest[] requests = [.. host.Service.Requests];
        Assert.Equal("é", Assert.IsType<Prompt.Text>(requests[0].Prompt).Value);
        Assert.Equal([256, 65], Assert.IsType<Prompt.Tokens>(requests[1].Prompt).Ids);
        Assert.Equal([new("system", "a"), new("user", "b")], Assert.IsType<Prompt.Chat>(requests[2].Prompt).Messages);
        foreach (GenerationRequest request in requests)
        {
            Assert.Equal(sampling.LogitBias.OrderBy(bias => bias.Key), request.Sampling.LogitBias.OrderBy(bias => bias.Key));
            SamplingParameters got = request.Sampling;
            Assert.Equal(ulong.MaxValue, got.Seed);
            Assert.Equal((0.5f, 7, 0.25f, 0.125f), (got.Temperature, got.TopK, got.TopP, got.MinP));
            Assert.Equal((1.5f, -1f, 2f, 4), (got.RepetitionPenalty, got.FrequencyPenalty, got.PresencePenalty, got.TopLogProbs));
            Assert.Equal(3, request.MaxTokens);
            Assert.True(request.IgnoreEnd);
        }
    }

    [Fact]
    public async Task Log_probabilities_and_alternatives_must_come_when_asked_for()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        await using Llama3ClusterClient client = await host.ConnectAsync();
        List<GenerationUpdate> updates = await ReadAsync(
            await client.StartAsync(Hello with { Sampling = new() { TopLogProbs = 2 } }));
        Assert.Equal(FakeInferenceService.LogProb(1), updates[1].Token!.LogProb);
        Assert.Equal([new('e', -0.5f), new('f', -1.5f)], updates[1].Token!.Top);
    }

    [Theory]
    [InlineData("world", "Hello, ", EndReason.StopString)]
    [InlineData("d!x", "Hello, world!", EndReason.EndToken)]
    public async Task A_stop_string_must_end_the_answer_before_itself(string stop, string expected, EndReason reason)
    {
        await using TcpHost host = await TcpHost.StartAsync();
        await using Llama3ClusterClient client = await host.ConnectAsync();
        await using Generation generation = await client.StartAsync(Hello with { StopStrings = [stop] });
        Assert.Equal(expected, string.Concat((await ReadAsync(generation)).Select(update => update.Text)));
        Assert.Equal(reason, generation.Result.Reason);
    }

    [Fact]
    public async Task Generations_must_share_a_connection_without_mixing()
    {
        var service = new FakeInferenceService { Answer = request => $"the answer to seed {request.Sampling.Seed}" };
        await using TcpHost host = await TcpHost.StartAsync(service: service);
        await using Llama3ClusterClient client = await host.ConnectAsync();
        string[] texts = await Task.WhenAll(Enumerable.Range(0, 40).Select(async seed =>
        {
            var text = new List<string>();
            var options = Hello with { Sampling = new() { Seed = (ulong)seed } };
            await foreach (GenerationUpdate update in client.GenerateAsync(options))
                text.Add(update.Text);
            return string.Concat(text);
        }));
        Assert.Equal(Enumerable.Range(0, 40).Select(seed => $"the answer to seed {seed}"), texts);
        Assert.Equal(0, service.Running);
    }

    [Theory]
    [InlineData(FailureCode.ContextLengthExceeded, null)]
    [InlineData(FailureCode.QueueFull, 5)]
    [InlineData(FailureCode.Unavailable, 30)]
    public async Task A_refusal_must_be_told_with_its_code(FailureCode code, int? retryAfter)
    {
        var service = new FakeInferenceService { Refusal = _ => new(code, "9 of 8", retryAfter) };
        await using TcpHost host = await TcpHost.StartAsync(service: service);
        await using Llama3ClusterClient client = await host.ConnectAsync();
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => client.StartAsync(Hello));
        Assert.Equal((code, "9 of 8", retryAfter), (error.Code, error.Message, error.RetryAfterSeconds));
    }

    [Fact]
    public async Task A_failure_under_way_must_come_after_the_tokens_before_it()
    {
        await using TcpHost host = await TcpHost.StartAsync(
            service: new FakeInferenceService { Break = (2, new(FailureCode.Failed, "lost")) });
        await using Llama3ClusterClient client = await host.ConnectAsync();
        var text = new List<string>();
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(async () =>
        {
            await foreach (GenerationUpdate update in client.GenerateAsync(Hello))
                text.Add(update.Text);
        });
        Assert.Equal("He", string.Concat(text));
        Assert.Equal(FailureCode.Failed, error.Code);
    }

    [Theory]
    [MemberData(nameof(WrongRequests))]
    public async Task A_wrong_request_must_be_refused_without_ending_the_connection(string expected, GenerationOptions options)
    {
        await using TcpHost host = await TcpHost.StartAsync();
        await using Llama3ClusterClient client = await host.ConnectAsync();
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => client.StartAsync(options));
        Assert.Equal(FailureCode.InvalidRequest, error.Code);
        Assert.Contains(expected, error.Message);
        Assert.Empty(host.Service.Requests);
        Assert.Equal(13, (await ReadAsync(await client.StartAsync(Hello))).Count);
    }

    public static TheoryData<string, GenerationOptions> WrongRequests => new()
    {
        { "temperature", Hello with { Sampling = new() { Temperature = float.NaN } } },
        { "top_p", Hello with { Sampling = new() { TopP = -1 } } },
        { "logit_bias", Hello with { Sampling = new() { LogitBias = new Dictionary<int, float> { [258] = 1 } } } },
        { "limit", Hello with { MaxTokens = -1 } },
        { "stop string", Hello with { StopStrings = [""] } },
        { "stop string", Hello with { StopStrings = [.. Enumerable.Repeat("x", 17)] } },
        { "empty", new() { Prompt = new Prompt.Text("") } },
        { "empty", new() { Prompt = new Prompt.Chat([]) } },
        { "0 to 257", new() { Prompt = new Prompt.Tokens([-1]) } },
        { "wizard", new() { Prompt = new Prompt.Chat([new("wizard", "Hi")]) } },
    };

    [Fact]
    public async Task The_model_must_be_described()
    {
        await using TcpHost host = await TcpHost.StartAsync();
        await using Llama3ClusterClient client = await host.ConnectAsync();
        Assert.Equal(
            new ModelDescription(FakeInferenceService.ModelName, 1000, 258, true, "0123456789abcdef0123456789abcdef"),
            await client.GetModelAsync());
    }

    [Fact]
    public async Task A_key_must_be_asked_for_in_the_Hello()
    {
        await using TcpHost host = await TcpHost.StartAsync(
            new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, ApiKeys = ["key"] });
        await using (Llama3ClusterClient client = await host.ConnectAsync(new() { ApiKey = "key" }))
            await client.GetModelAsync();
        TcpProtocolException missing = await Assert.ThrowsAsync<TcpProtocolException>(() => host.ConnectAsync());
        TcpProtocolException wrong = await Assert.ThrowsAsync<TcpProtocolException>(() =>
            host.ConnectAsync(new() { ApiKey = "kez" }));
        Assert.Contains("needed", missing.Message);
        Assert.Contains("not known", wrong.Message);
    }

    [Fact]
    public async Task A_connection_must_be_encrypted_when_there_is_a_certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        X509Certificate2 certificate = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await using TcpHost host = await TcpHost.StartAsync(
            new TcpEndpointOptions { EndPoint = TcpHost.AnyPort, ServerCertificate = certificate });
        var tls = new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            RemoteCertificateValidationCallback = (_, presented, _, _) =>
                presented?.GetCertHashString() == certificate.GetCertHashString(),
        };
        await using Llama3ClusterClient client = await host.ConnectAsync(new() { Tls = tls });
        Assert.Equal(13, (await ReadAsync(await client.StartAsync(Hello))).Count);
    }

    internal static async Task<List<GenerationUpdate>> ReadAsync(Generation generation)
    {
        var updates = new List<GenerationUpdate>();
        await foreach (GenerationUpdate update in generation)
            updates.Add(update);
        return updates;
    }
}
