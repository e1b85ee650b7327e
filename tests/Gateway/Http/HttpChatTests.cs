using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpChatTests
{
    private const string Path = "/v1/chat/completions";
    private const string Hello = """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}]}""";

    [Fact]
    public async Task A_chat_must_be_answered_in_the_shape_of_OpenAI()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        using HttpResponseMessage response = await host.PostAsync(Path, Hello);
        string json = await response.Content.ReadAsStringAsync();
        JsonElement body = JsonSerializer.Deserialize<JsonElement>(json);
        string id = body.GetProperty("id").GetString()!;
        long created = body.GetProperty("created").GetInt64();

        Assert.StartsWith("chatcmpl-", id);
        Assert.Equal(id, response.Headers.GetValues("x-request-id").Single());
        Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - created, 0, 60);
        // "user:Hi\n" and the start token are 9; "Hello, world!" and the end token 14.
        Assert.Equal(
            $$$$"""
            {"id":"{{{{id}}}}","object":"chat.completion","created":{{{{created}}}},"model":"test/model-1","system_fingerprint":"fp_0123456789abcdef",
            "choices":[{"index":0,"message":{"role":"assistant","content":"Hello, world!","refusal":null},"logprobs":null,"finish_reason":"stop"}],
            "usage":{"prompt_tokens":9,"completion_tokens":14,"total_tokens":23,"prompt_tokens_details":{"cached_tokens":3}}}
            """.ReplaceLineEndings(""),
            json);
    }

    [Fact]
    public async Task A_stream_must_have_role_deltas_finish_and_done_in_order()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "ab" });
        List<string> events = await host.PostStreamAsync(Path, Hello[..^1] + ""","stream":true}""");

        JsonElement first = JsonSerializer.Deserialize<JsonElement>(events[0]);
        string head = $$$"""
            {"id":"{{{first.GetProperty("id").GetString()}}}","object":"chat.completion.chunk","created":{{{first.GetProperty("created")}}},
            "model":"test/model-1","system_fingerprint":"fp_0123456789abcdef","choices":[{"index":0,"delta":
            """.ReplaceLineEndings("");
        Assert.Equal(
            [
                head + """{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}""",
                head + """{"content":"a"},"logprobs":null,"finish_reason":null}]}""",
                head + """{"content":"b"},"logprobs":null,"finish_reason":null}]}""",
                head + """{},"logprobs":null,"finish_reason":"stop"}]}""",
                "[DONE]",
            ],
            events);
    }

    [Fact]
    public async Task A_stream_must_end_with_the_usage_when_it_is_asked_for()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "ab" });
        List<string> events = await host.PostStreamAsync(
            Path, Hello[..^1] + ""","stream":true,"stream_options":{"include_usage":true}}""");

        Assert.Equal("[DONE]", events[^1]);
        JsonElement last = JsonSerializer.Deserialize<JsonElement>(events[^2]);
        Assert.Equal(0, last.GetProperty("choices").GetArrayLength());
        Assert.Equal(
            """{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3}}""",
            last.GetProperty("usage").GetRawText());
        Assert.All(events[..^2], item =>
            Assert.Equal(JsonValueKind.Null, JsonSerializer.Deserialize<JsonElement>(item).GetProperty("usage").ValueKind));
    }

    [Fact]
    public async Task Streamed_text_must_equal_the_whole_text()
    {
        const string Text = "Zażółć gęślą jaźń 🐟 \"quoted\" \\ \n end";
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => Text });
        JsonElement whole = await host.PostJsonAsync(Path, Hello);
        List<string> events = await host.PostStreamAsync(Path, Hello[..^1] + ""","stream":true}""");

        Assert.Equal(Text, whole.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        Assert.Equal(Text, string.Concat(Contents(events, 0)));
        Assert.All(Contents(events, 0), delta => Assert.DoesNotContain('\uFFFD', delta));
    }

    [Fact]
    public async Task Every_parameter_must_reach_the_generation()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        await host.PostJsonAsync(
            Path,
            """
            {"model":"test/model-1","messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"a"},
            {"type":"text","text":"b"}]},{"role":"assistant","content":"c","refusal":null,"annotations":[]},{"role":"user","content":"d"}],
            "temperature":0.5,"top_p":0.25,"top_k":7,"min_p":0.125,"repetition_penalty":1.5,"frequency_penalty":-1,"presence_penalty":2,
            "logit_bias":{"65":-100,"66":2.5},"seed":-1,"max_completion_tokens":5,"ignore_eos":true,"logprobs":true,"top_logprobs":4,
            "user":"u","metadata":{"a":"b"},"store":false,"service_tier":"auto","response_format":{"type":"text"},"modalities":["text"],
            "safety_identifier":"s","prompt_cache_key":"k","n":null,"stop":null,"stream":false,"tools":null}
            """);

        GenerationRequest request = Assert.Single(host.Service.Requests);
        Assert.Equal(
            [("system", "Be brief."), ("user", "a\nb"), ("assistant", "c"), ("user", "d")],
            Assert.IsType<Prompt.Chat>(request.Prompt).Messages.Select(message => (message.Role, message.Content)));
        Assert.Equal(0.5f, request.Sampling.Temperature);
        Assert.Equal(0.25f, request.Sampling.TopP);
        Assert.Equal(7, request.Sampling.TopK);
        Assert.Equal(0.125f, request.Sampling.MinP);
        Assert.Equal(1.5f, request.Sampling.RepetitionPenalty);
        Assert.Equal(-1, request.Sampling.FrequencyPenalty);
        Assert.Equal(2, request.Sampling.PresencePenalty);
        Assert.Equal([new(65, -100), new(66, 2.5f)], request.Sampling.LogitBias.OrderBy(bias => bias.Key));
        Assert.Equal(ulong.MaxValue, request.Sampling.Seed);
        Assert.Equal(4, request.Sampling.TopLogProbs);
        Assert.Equal(5, request.MaxTokens);
        Assert.True(request.IgnoreEnd);
    }

    [Fact]
    public async Task Absent_parameters_must_leave_the_distribution_and_the_length_alone()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        await host.PostJsonAsync(Path, Hello);
        await host.PostJsonAsync(Path, Hello);

        GenerationRequest[] requests = [.. host.Service.Requests];
        Assert.Equal(
            new() { Seed = requests[0].Sampling.Seed, LogitBias = requests[0].Sampling.LogitBias }, requests[0].Sampling);
        Assert.Empty(requests[0].Sampling.LogitBias);
        Assert.Null(requests[0].MaxTokens);
        Assert.False(requests[0].IgnoreEnd);
        Assert.NotEqual(requests[0].Sampling.Seed, requests[1].Sampling.Seed);
        Assert.NotEqual(requests[0].Id, requests[1].Id);
    }

    [Fact]
    public async Task Choices_must_be_generations_with_seeds_of_their_own()
    {
        var service = new FakeInferenceService { Answer = request => $"seed {request.Sampling.Seed}" };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        JsonElement body = await host.PostJsonAsync(Path, Hello[..^1] + ""","n":3,"seed":40}""");

        JsonElement[] choices = [.. body.GetProperty("choices").EnumerateArray()];
        Assert.Equal(
            ["seed 40", "seed 41", "seed 42"],
            choices.Select(choice => choice.GetProperty("message").GetProperty("content").GetString()));
        Assert.Equal([0, 1, 2], choices.Select(choice => choice.GetProperty("index").GetInt32()));
        Assert.Equal(3, service.Requests.Select(request => request.Id).Distinct().Count());
        // The prompt counts once.
        Assert.Equal(9, body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        Assert.Equal(3 * 8, body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Equal(3, body.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32());
    }

    [Fact]
    public async Task Streamed_choices_must_be_told_apart_by_their_index()
    {
        var service = new FakeInferenceService { Answer = request => $"answer {request.Sampling.Seed}" };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        List<string> events = await host.PostStreamAsync(Path, Hello[..^1] + ""","n":2,"seed":7,"stream":true}""");

        Assert.Equal("answer 7", string.Concat(Contents(events, 0)));
        Assert.Equal("answer 8", string.Concat(Contents(events, 1)));
        Assert.Equal(2, events.Count(item => item.Contains("\"finish_reason\":\"stop\"", StringComparison.Ordinal)));
        Assert.Equal("[DONE]", events[^1]);
    }

    [Fact]
    public async Task A_model_without_a_chat_format_must_refuse_chats()
    {
        var service = new FakeInferenceService();
        service.Model = service.Model with { Tokenizer = new ByteTokenizer { HasChatFormat = false } };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        JsonElement error = await host.PostRefusedAsync(Path, Hello);
        Assert.Equal("chat_format_missing", error.GetProperty("code").GetString());
        Assert.Contains("/v1/completions", error.GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_limit_must_be_reported_as_length()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, Hello[..^1] + ""","max_tokens":5}""");
        JsonElement choice = body.GetProperty("choices")[0];
        Assert.Equal("Hello", choice.GetProperty("message").GetProperty("content").GetString());
        Assert.Equal("length", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(5, body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    internal static List<string> Contents(IEnumerable<string> events, int index) =>
        [.. events.Where(item => item != "[DONE]")
            .SelectMany(item => JsonSerializer.Deserialize<JsonElement>(item).GetProperty("choices").EnumerateArray().ToArray())
            .Where(choice => choice.GetProperty("index").GetInt32() == index)
            .Where(choice => choice.GetProperty("delta").TryGetProperty("content", out _))
            .Select(choice => choice.GetProperty("delta").GetProperty("content").GetString()!)];
}
