using System.Net;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpFailureTests
{
    private const string Path = "/v1/chat/completions";
    private const string Hello = """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}]}""";
    private static readonly string HelloStream = Hello[..^1] + ""","stream":true}""";

    [Theory]
    [InlineData(FailureCode.InvalidRequest, null, HttpStatusCode.BadRequest, "invalid_request", null, null)]
    [InlineData(FailureCode.ContextLengthExceeded, null, HttpStatusCode.BadRequest, "context_length_exceeded", "messages", null)]
    [InlineData(FailureCode.QueueFull, 7, HttpStatusCode.TooManyRequests, "rate_limit_exceeded", null, "7")]
    [InlineData(FailureCode.QueueFull, null, HttpStatusCode.TooManyRequests, "rate_limit_exceeded", null, "1")]
    [InlineData(FailureCode.Unavailable, 30, HttpStatusCode.ServiceUnavailable, "unavailable", null, "30")]
    [InlineData(FailureCode.Failed, null, HttpStatusCode.InternalServerError, "generation_failed", null, null)]
    public async Task A_refusal_must_have_its_status_even_for_a_stream(
        FailureCode code,
        int? retryAfter,
        HttpStatusCode status,
        string expectedCode,
        string? parameter,
        string? expectedRetryAfter)
    {
        var service = new FakeInferenceService { Refusal = _ => new(code, "9 of 8 are too many", retryAfter) };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        foreach (string body in new[] { Hello, HelloStream })
        {
            using HttpResponseMessage response = await host.PostAsync(Path, body);
            JsonElement error = (await HttpHost.ReadJsonAsync(response, status)).GetProperty("error");
            Assert.Equal("9 of 8 are too many", error.GetProperty("message").GetString());
            Assert.Equal(expectedCode, error.GetProperty("code").GetString());
            Assert.Equal(parameter, error.GetProperty("param").GetString());
            Assert.Equal(
                expectedRetryAfter, response.Headers.TryGetValues("Retry-After", out var values) ? values.Single() : null);
        }
    }

    [Fact]
    public async Task A_failure_under_way_must_be_the_status_of_a_whole_answer_and_an_event_of_a_stream()
    {
        var service = new FakeInferenceService { Break = (2, new(FailureCode.Failed, "stage 1 was lost")) };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        JsonElement whole = await host.PostRefusedAsync(Path, Hello, HttpStatusCode.InternalServerError);
        List<string> events = await host.PostStreamAsync(Path, HelloStream);

        Assert.Equal("stage 1 was lost", whole.GetProperty("message").GetString());
        Assert.Equal("He", string.Concat(HttpChatTests.Contents(events[..^1], 0)));
        Assert.Equal(
            """{"error":{"message":"stage 1 was lost","type":"server_error","param":null,"code":"generation_failed"}}""", events[^1]);
        Assert.Equal(0, service.Running);
    }

    [Fact]
    public async Task A_refused_choice_must_refuse_the_request_and_end_the_others()
    {
        var service = new FakeInferenceService();
        service.Refusal = _ => service.Requests.Count == 3 ? new(FailureCode.QueueFull, "full", 2) : null;
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        await host.PostRefusedAsync(Path, HelloStream[..^1] + ""","n":4}""", HttpStatusCode.TooManyRequests);
        Assert.Equal(3, service.Requests.Count);
        Assert.Equal(0, service.Running);
    }

    [Fact]
    public async Task A_choice_that_fails_must_end_the_stream_and_the_other_choices()
    {
        var service = new FakeInferenceService
        {
            BeforeToken = (request, index, cancellation) => (request.Sampling.Seed, index) switch
            {
                (_, 0) => Task.CompletedTask,
                (1, _) => Task.Delay(Timeout.Infinite, cancellation),
                _ => throw new InvalidOperationException("a bug in the service"),
            },
        };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        List<string> events = await host.PostStreamAsync(Path, HelloStream[..^1] + ""","n":2,"seed":1}""");
        Assert.Contains("\"code\":\"internal_error\"", events[^1]);
        Assert.DoesNotContain("a bug in the service", string.Concat(events));
        Assert.Equal(0, service.Running);
    }

    [Fact]
    public async Task An_unexpected_error_must_not_show_its_inside()
    {
        var service = new FakeInferenceService { BeforeToken = (_, _, _) => throw new InvalidOperationException("secret") };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        JsonElement error = await host.PostRefusedAsync(Path, Hello, HttpStatusCode.InternalServerError);
        Assert.Equal("internal_error", error.GetProperty("code").GetString());
        Assert.DoesNotContain("secret", error.GetRawText());
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData(",\"stream\":true", 1)]
    [InlineData(",\"stream\":true,\"n\":3", 3)]
    public async Task A_client_that_leaves_must_end_its_generations(string more, int choices)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var service = new FakeInferenceService
        {
            BeforeToken = (_, index, cancellation) =>
            {
                if (index < 3)
                    return Task.CompletedTask;
                reached.TrySetResult();
                return Task.Delay(Timeout.Infinite, cancellation);
            },
        };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        using var leave = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Post, Path)
        {
            Content = new StringContent(Hello[..^1] + more + "}", null, "application/json"),
        };
        Task<HttpResponseMessage> pending = host.Client.SendAsync(request, HttpCompletionOption.ResponseContentRead, leave.Token);
        await reached.Task;
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending);

        Assert.Equal(3, await service.EndedEarly.Task.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.True(SpinWait.SpinUntil(() => service.Running == 0, TimeSpan.FromSeconds(20)));
        Assert.Equal(choices, service.Requests.Count);
    }

    [Fact]
    public async Task A_silent_stream_must_be_kept_open_with_comments()
    {
        var resume = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var service = new FakeInferenceService { BeforeToken = (_, index, _) => index == 1 ? resume.Task : Task.CompletedTask };
        await using HttpHost host = await HttpHost.StartAsync(
            new EndpointOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(10) }, service);
        using var request = new HttpRequestMessage(HttpMethod.Post, Path);
        request.Content = new StringContent(HelloStream, null, "application/json");
        using HttpResponseMessage response = await host.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (await reader.ReadLineAsync(patience.Token) is { } line && line != ": keep-alive")
            Assert.DoesNotContain("[DONE]", line);
        resume.SetResult();
        string rest = await reader.ReadToEndAsync();
        Assert.EndsWith("data: [DONE]\n\n", rest);
    }
}
