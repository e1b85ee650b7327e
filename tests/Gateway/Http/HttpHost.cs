using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Tests.Fakes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Llama3Cluster.Gateway.Tests.Http;

/// <summary>The endpoints on a free port of loopback, before a fake cluster.</summary>
internal sealed class HttpHost : IAsyncDisposable
{
    private readonly WebApplication _app;

    private HttpHost(WebApplication app, FakeInferenceService service)
    {
        _app = app;
        Service = service;
        Address = new Uri(app.Urls.Single());
        Client = new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(30) };
    }

    public FakeInferenceService Service { get; }

    public Uri Address { get; }

    public GatewayDrain Drain => _app.Services.GetRequiredService<GatewayDrain>();

    public HttpClient Client { get; }

    public static async Task<HttpHost> StartAsync(
        EndpointOptions? options = null, FakeInferenceService? service = null, DrainOptions? drain = null)
    {
        service ??= new FakeInferenceService();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddSingleton<IInferenceService>(service);
        builder.Services.AddGatewayDrain(drain ?? new DrainOptions(TimeSpan.Zero));
        builder.Services.AddInferenceEndpoints(options ?? new EndpointOptions());
        WebApplication app = builder.Build();
        app.MapInferenceEndpoints();
        await app.StartAsync();
        return new HttpHost(app, service);
    }

    /// <summary>Posts JSON text.</summary>
    public Task<HttpResponseMessage> PostAsync(string path, string json) => PostAsync(path, Encoding.UTF8.GetBytes(json));

    /// <summary>Posts bytes as JSON.</summary>
    public async Task<HttpResponseMessage> PostAsync(string path, byte[] body, string contentType = "application/json")
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        return await Client.PostAsync(path, content);
    }

    /// <summary>Posts JSON text and reads the answer, which must have the status.</summary>
    public async Task<JsonElement> PostJsonAsync(string path, string json, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using HttpResponseMessage response = await PostAsync(path, json);
        return await ReadJsonAsync(response, expected);
    }

    /// <summary>Posts JSON text, which must be refused, and reads the error.</summary>
    public async Task<JsonElement> PostRefusedAsync(
        string path, string json, HttpStatusCode expected = HttpStatusCode.BadRequest) =>
        (await PostJsonAsync(path, json, expected)).GetProperty("error");

    public async Task<JsonElement> GetJsonAsync(string path, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using HttpResponseMessage response = await Client.GetAsync(path);
        return await ReadJsonAsync(response, expected);
    }

    /// <summary>Posts JSON text and reads the data of a stream's events.</summary>
    public async Task<List<string>> PostStreamAsync(string path, string json)
    {
        using HttpResponseMessage response = await PostAsync(path, json);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Equal("text/event-stream; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        Assert.EndsWith("\n\n", text);
        return [.. Events(text).Select(item => item.Data)];
    }

    /// <summary>The events of a stream: an id, on all but the errors and the end, and data.</summary>
    public static List<(string? Id, string Data)> Events(string text)
    {
        var events = new List<(string?, string)>();
        foreach (string item in text[..^2].Split("\n\n"))
        {
            string[] lines = item.Split('\n');
            Assert.InRange(lines.Length, 1, 2);
            if (lines.Length == 2)
                Assert.StartsWith("id: ", lines[0]);
            Assert.StartsWith("data: ", lines[^1]);
            events.Add((lines.Length == 2 ? lines[0]["id: ".Length..] : null, lines[^1]["data: ".Length..]));
        }

        return events;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    public static async Task<JsonElement> ReadJsonAsync(HttpResponseMessage response, HttpStatusCode expected)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == expected, $"{(int)response.StatusCode}: {text}");
        Assert.Equal("application/json; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        return JsonSerializer.Deserialize<JsonElement>(text);
    }
}
