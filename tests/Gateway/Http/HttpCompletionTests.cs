using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpCompletionTests
{
    private const string Path = "/v1/completions";

    [Fact]
    public async Task A_completion_must_be_answered_in_the_shape_of_OpenAI()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, """{"model":"test/model-1","prompt":"Say"}""");

        string id = body.GetProperty("id").GetString()!;
        Assert.StartsWith("cmpl-", id);
        Assert.Equal(
            $$$$"""
            {"id":"{{{{id}}}}","object":"text_completion","created":{{{{body.GetProperty("created")}}}},"model":"test/model-1",
            "system_fingerprint":"fp_0123456789abcdef",
            "choices":[{"index":0,"text":"Hello, world!","logprobs":null,"finish_reason":"stop"}],
            "usage":{"prompt_tokens":4,"completion_tokens":14,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":3}}}
            """.ReplaceLineEndings(""),
            body.GetRawText());
        Assert.Equal(16, Assert.Single(host.Service.Requests).MaxTokens);
    }

    [Fact]
    public async Task A_stream_must_have_text_chunks_and_one_finish_reason()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        List<string> events = await host.PostStreamAsync(
            Path, """{"model":"test/model-1","prompt":"Say","stream":true,"stream_options":{"include_usage":true}}""");

        Assert.Equal("[DONE]", events[^1]);
        JsonElement[] chunks = [.. events[..^1].Select(item => JsonSerializer.Deserialize<JsonElement>(item))];
        Assert.All(chunks, chunk => Assert.Equal("text_completion", chunk.GetProperty("object").GetString()));
        JsonElement[] choices = [.. chunks[..^1].Select(chunk => chunk.GetProperty("choices")[0])];
        Assert.Equal("Hello, world!", string.Concat(choices.Select(choice => choice.GetProperty("text").GetString())));
        Assert.Equal("stop", Assert.Single(choices, choice => choice.GetProperty("finish_reason").ValueKind != JsonValueKind.Null)
            .GetProperty("finish_reason").GetString());
        Assert.Equal(0, chunks[^1].GetProperty("choices").GetArrayLength());
        Assert.Equal(18, chunks[^1].GetProperty("usage").GetProperty("total_tokens").GetInt32());
    }

    [Theory]
    [InlineData("\"ab\"", "T:ab")]
    [InlineData("[\"ab\",\"c\"]", "T:ab|T:c")]
    [InlineData("[256,97]", "I:256,97")]
    [InlineData("[[256,97],[98]]", "I:256,97|I:98")]
    public async Task Every_form_of_prompt_must_be_taken(string prompt, string expected)
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, $$"""{"model":"test/model-1","prompt":{{prompt}}}""");

        Assert.Equal(expected, string.Join('|', host.Service.Requests.Select(request => request.Prompt switch
        {
            Prompt.Text text => "T:" + text.Value,
            Prompt.Tokens tokens => "I:" + string.Join(',', tokens.Ids),
            _ => "?",
        })));
        Assert.Equal(host.Service.Requests.Count, body.GetProperty("choices").GetArrayLength());
    }

    [Fact]
    public async Task Choices_of_several_prompts_must_be_numbered_prompt_by_prompt()
    {
        var service = new FakeInferenceService
        {
            Answer = request => $"{((Prompt.Text)request.Prompt).Value}{request.Sampling.Seed}",
        };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        JsonElement body = await host.PostJsonAsync(
            Path, """{"model":"test/model-1","prompt":["a","bc"],"n":2,"best_of":2,"seed":5,"echo":true}""");

        Assert.Equal(
            ["aa5", "aa6", "bcbc5", "bcbc6"],
            body.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("text").GetString()));
        // A start token and the text, of each prompt once.
        Assert.Equal(2 + 3, body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task An_echo_must_come_before_the_text()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        const string Body = """{"model":"test/model-1","prompt":[256,72,195,169],"echo":true""";
        JsonElement whole = await host.PostJsonAsync(Path, Body + "}");
        List<string> events = await host.PostStreamAsync(Path, Body + ""","stream":true}""");

        Assert.Equal("HéHello, world!", whole.GetProperty("choices")[0].GetProperty("text").GetString());
        JsonElement first = JsonSerializer.Deserialize<JsonElement>(events[0]).GetProperty("choices")[0];
        Assert.Equal("Hé", first.GetProperty("text").GetString());
    }

    [Fact]
    public async Task Log_probabilities_must_be_parallel_lists()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "aé" });
        JsonElement body = await host.PostJsonAsync(Path, """{"model":"test/model-1","prompt":"Say","logprobs":2}""");
        Assert.Equal(
            """
            {"tokens":["a","bytes:\\xc3","bytes:\\xa9"],"token_logprobs":[-0.25,-0.5,-0.75],
            "top_logprobs":[{"a":-0.25,"b":-1.25},{"bytes:\\xc3":-0.5,"bytes:\\xc4":-1.5},{"bytes:\\xa9":-0.75,"bytes:\\xaa":-1.75}],
            "text_offset":[0,1,2]}
            """.ReplaceLineEndings(""),
            body.GetProperty("choices")[0].GetProperty("logprobs").GetRawText());
    }

    [Fact]
    public async Task Streamed_log_probabilities_must_equal_the_whole_ones()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "añb🐟c, world" });
        const string Body = """{"model":"test/model-1","prompt":"Say","logprobs":0,"stop":", work","max_tokens":50""";
        JsonElement whole = (await host.PostJsonAsync(Path, Body + "}")).GetProperty("choices")[0].GetProperty("logprobs");
        List<string> events = await host.PostStreamAsync(Path, Body + ""","stream":true}""");

        JsonElement[] parts = [.. events[..^1].Select(item =>
            JsonSerializer.Deserialize<JsonElement>(item).GetProperty("choices")[0].GetProperty("logprobs"))
            .Where(part => part.ValueKind == JsonValueKind.Object)];
        Assert.Equal(JsonValueKind.Null, whole.GetProperty("top_logprobs").ValueKind);
        foreach (string list in new[] { "tokens", "token_logprobs", "text_offset" })
        {
            Assert.Equal(
                whole.GetProperty(list).EnumerateArray().Select(item => item.GetRawText()),
                parts.SelectMany(part => part.GetProperty(list).EnumerateArray()).Select(item => item.GetRawText()));
        }
    }

    [Fact]
    public async Task Chat_log_probabilities_must_have_bytes_and_alternatives()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "aé" });
        JsonElement body = await host.PostJsonAsync(
            "/v1/chat/completions",
            """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}],"logprobs":true,"top_logprobs":1}""");
        Assert.Equal(
            """
            {"content":[{"token":"a","logprob":-0.25,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.25,"bytes":[97]}]},
            {"token":"\\xc3","logprob":-0.5,"bytes":[195],"top_logprobs":[{"token":"\\xc3","logprob":-0.5,"bytes":[195]}]},
            {"token":"\\xa9","logprob":-0.75,"bytes":[169],"top_logprobs":[{"token":"\\xa9","logprob":-0.75,"bytes":[169]}]}],"refusal":null}
            """.ReplaceLineEndings(""),
            body.GetProperty("choices")[0].GetProperty("logprobs").GetRawText());
    }
}
