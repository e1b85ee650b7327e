using System.Text.Json;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpStopTests
{
    private const string Path = "/v1/chat/completions";

    [Theory]
    [InlineData("\"world\"", "Hello, ")]
    [InlineData("[\"zebra\",\", w\"]", "Hello")]
    [InlineData("[\"lo, worx\"]", "Hello, world!")]
    [InlineData("\"!\"", "Hello, world")]
    [InlineData("\"H\"", "")]
    public async Task A_stop_string_must_end_the_answer_before_itself(string stop, string expected)
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, Request($$""","stop":{{stop}}"""));
        List<string> events = await host.PostStreamAsync(Path, Request($$""","stop":{{stop}},"stream":true"""));

        JsonElement choice = body.GetProperty("choices")[0];
        Assert.Equal(expected, choice.GetProperty("message").GetProperty("content").GetString());
        Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(expected, string.Concat(HttpChatTests.Contents(events, 0)));
        Assert.Equal(0, host.Service.Running);
    }

    [Fact]
    public async Task A_stop_string_must_cancel_the_generation_and_count_what_was_generated()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, Request(""","stop":"lo" """));

        Assert.Equal(5, await host.Service.EndedEarly.Task);
        JsonElement usage = body.GetProperty("usage");
        Assert.Equal(5, usage.GetProperty("completion_tokens").GetInt32());
        // The service just ended, so how much was cached is not known, and not made up.
        Assert.False(usage.TryGetProperty("prompt_tokens_details", out _));
    }

    [Fact]
    public async Task Cached_tokens_must_be_reported_though_a_stop_string_cut_the_answer()
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { TellsCached = true });
        JsonElement body = await host.PostJsonAsync(Path, Request(""","stop":"lo" """));
        Assert.Equal(
            FakeInferenceService.CachedTokens,
            body.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32());
    }

    [Fact]
    public async Task Log_probabilities_must_cover_the_text_and_not_the_stop_string()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync(Path, Request(""","stop":["world"],"logprobs":true"""));
        JsonElement tokens = body.GetProperty("choices")[0].GetProperty("logprobs").GetProperty("content");
        Assert.Equal("Hello, ", string.Concat(tokens.EnumerateArray().Select(token => token.GetProperty("token").GetString())));
    }

    private static string Request(string more) =>
        """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}]""" + more + "}";
}
