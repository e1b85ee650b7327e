using System.Net;
using System.Text.Json;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpResumeTests
{
    private const string Chat = """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true}""";
    private const string Text = """{"model":"test/model-1","prompt":"Hi","stream":true""";

    [Theory]
    [InlineData("/v1/chat/completions", Chat + "}")]
    [InlineData("/v1/chat/completions", Chat + ""","logprobs":true,"top_logprobs":2}""")]
    [InlineData("/v1/chat/completions", Chat + ""","stop":["lo, wox","rld"]}""")]
    [InlineData("/v1/chat/completions", Chat + ""","n":3}""")]
    [InlineData("/v1/completions", Text + ""","logprobs":2,"max_tokens":5}""")]
    [InlineData("/v1/completions", Text + ""","echo":true,"n":2,"stop":"é"}""")]
    public async Task A_stream_that_is_resumed_after_any_event_must_have_exactly_the_rest(string path, string request)
    {
        await using HttpHost host = await HttpHost.StartAsync(service: new FakeInferenceService { Answer = _ => "Hé🐟lo, world!" });
        List<(string? Id, string Data)> whole = HttpHost.Events(await ReadAsync(await host.PostAsync(path, request)));
        string id = whole[0].Id![..whole[0].Id!.IndexOf(':', StringComparison.Ordinal)];
        Assert.Equal(whole.Count - 1, whole.Count(item => item.Id is not null));
        Assert.Equal(whole.Count - 1, whole.Take(whole.Count - 1).Select(item => item.Id).Distinct().Count() + OpeningsBeyondTheFirst(whole));

        for (int last = OpeningsBeyondTheFirst(whole); last < whole.Count - 1; last++)
        {
            List<(string? Id, string Data)> rest = HttpHost.Events(await ReadAsync(await ResumeAsync(host, id, whole[last].Id)));
            // The choices of a response come in any order, each in its own.
            Assert.Equal(
                whole.Skip(last + 1).Select(item => item.Data).Order(StringComparer.Ordinal),
                rest.Select(item => item.Data).Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public async Task A_stream_that_is_resumed_without_a_position_must_come_whole()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        List<(string? Id, string Data)> whole = HttpHost.Events(await ReadAsync(await host.PostAsync("/v1/chat/completions", Chat + "}")));

        using HttpResponseMessage again = await ResumeAsync(host, IdOf(whole), null);

        Assert.Equal(IdOf(whole), again.Headers.GetValues("x-request-id").Single());
        Assert.Equal(whole, HttpHost.Events(await ReadAsync(again)));
    }

    [Fact]
    public async Task An_answer_must_belong_to_the_key_that_asked_for_it()
    {
        await using HttpHost host = await HttpHost.StartAsync(new EndpointOptions { ApiKeys = ["one", "two"] });
        host.Client.DefaultRequestHeaders.Authorization = new("Bearer", "one");
        string id = IdOf(HttpHost.Events(await ReadAsync(await host.PostAsync("/v1/chat/completions", Chat + "}"))));
        Assert.Equal(HttpStatusCode.OK, (await ResumeAsync(host, id, null)).StatusCode);

        host.Client.DefaultRequestHeaders.Authorization = new("Bearer", "two");

        JsonElement error = await HttpHost.ReadJsonAsync(await ResumeAsync(host, id, null), HttpStatusCode.NotFound);
        Assert.Equal("generation_not_found", error.GetProperty("error").GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("chatcmpl-0", "", HttpStatusCode.NotFound)]
    [InlineData("no%20id", "", HttpStatusCode.NotFound)]
    [InlineData("*", "other:3", HttpStatusCode.BadRequest)]
    [InlineData("*", "*", HttpStatusCode.BadRequest)]
    [InlineData("*", "*:x", HttpStatusCode.BadRequest)]
    [InlineData("*", "*:-2", HttpStatusCode.BadRequest)]
    [InlineData("*", "*:1,2", HttpStatusCode.BadRequest)]
    public async Task Positions_that_cannot_be_must_be_refused(string id, string lastEventId, HttpStatusCode expected)
    {
        await using HttpHost host = await HttpHost.StartAsync();
        string known = IdOf(HttpHost.Events(await ReadAsync(await host.PostAsync("/v1/chat/completions", Chat + "}"))));

        using HttpResponseMessage answer = await ResumeAsync(
            host, id.Replace("*", known, StringComparison.Ordinal), lastEventId.Replace("*", known, StringComparison.Ordinal));

        await HttpHost.ReadJsonAsync(answer, expected);
        Assert.Equal(0, host.Service.Running);
    }

    [Fact]
    public async Task An_answer_that_is_not_a_stream_must_not_be_kept()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.PostJsonAsync("/v1/completions", """{"model":"test/model-1","prompt":"Hi"}""");

        using HttpResponseMessage answer = await ResumeAsync(host, body.GetProperty("id").GetString()!, null);

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    private static int OpeningsBeyondTheFirst(List<(string? Id, string Data)> events) =>
        events.TakeWhile(item => item.Id is not null && item.Id == events[0].Id).Count() - 1;

    private static string IdOf(List<(string? Id, string Data)> events) =>
        JsonSerializer.Deserialize<JsonElement>(events[0].Data).GetProperty("id").GetString()!;

    private static async Task<HttpResponseMessage> ResumeAsync(HttpHost host, string id, string? lastEventId)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/generations/{id}/events");
        if (!string.IsNullOrEmpty(lastEventId))
            request.Headers.Add("Last-Event-ID", lastEventId);
        return await host.Client.SendAsync(request);
    }

    private static async Task<string> ReadAsync(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return text;
    }
}
