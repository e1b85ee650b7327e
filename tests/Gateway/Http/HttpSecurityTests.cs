using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Llama3Cluster.Gateway.Http;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpSecurityTests
{
    private static readonly EndpointOptions WithKeys = new() { ApiKeys = ["first-key", "second-key"] };

    [Theory]
    [InlineData("GET", "/")]
    [InlineData("GET", "/cluster")]
    [InlineData("GET", "/metrics")]
    [InlineData("GET", "/v1/models")]
    [InlineData("GET", "/V1/Models")]
    [InlineData("GET", "//v1/models")]
    [InlineData("GET", "/health/../v1/models")]
    [InlineData("GET", "/healthy")]
    [InlineData("GET", "/nowhere")]
    [InlineData("POST", "/v1/chat/completions")]
    [InlineData("POST", "/v1/completions")]
    [InlineData("POST", "/tokenize")]
    [InlineData("POST", "/detokenize")]
    [InlineData("OPTIONS", "/v1/chat/completions")]
    public async Task Every_route_must_ask_for_the_key(string method, string path)
    {
        await using HttpHost host = await HttpHost.StartAsync(WithKeys);
        var exact = new Uri(
            host.Address + path[1..], new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        using var request = new HttpRequestMessage(new HttpMethod(method), exact);
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        JsonElement body = await HttpHost.ReadJsonAsync(response, HttpStatusCode.Unauthorized);
        Assert.Equal("missing_api_key", body.GetProperty("error").GetProperty("code").GetString());
        // A program takes the first; a browser the second, and asks its user.
        Assert.Equal(["Bearer", "Basic"], response.Headers.WwwAuthenticate.Select(challenge => challenge.Scheme));
    }

    [Theory]
    [InlineData("/health/live")]
    [InlineData("/health/ready")]
    public async Task Health_must_be_open(string path)
    {
        await using HttpHost host = await HttpHost.StartAsync(WithKeys);
        using HttpResponseMessage response = await host.Client.GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData("Bearer first-key", HttpStatusCode.OK)]
    [InlineData("bearer second-key", HttpStatusCode.OK)]
    [InlineData("Basic :second-key", HttpStatusCode.OK)]
    [InlineData("Basic anyone:first-key", HttpStatusCode.OK)]
    [InlineData("Bearer first-ke", HttpStatusCode.Unauthorized)]
    [InlineData("Bearer first-key2", HttpStatusCode.Unauthorized)]
    [InlineData("Bearer FIRST-KEY", HttpStatusCode.Unauthorized)]
    [InlineData("Basic first-key:", HttpStatusCode.Unauthorized)]
    [InlineData("Digest first-key", HttpStatusCode.Unauthorized)]
    [InlineData("Bearer", HttpStatusCode.Unauthorized)]
    public async Task Only_a_known_key_must_be_let_in(string authorization, HttpStatusCode expected)
    {
        await using HttpHost host = await HttpHost.StartAsync(WithKeys);
        string[] parts = authorization.Split(' ');
        string? value = parts is ["Basic", var pair]
            ? Convert.ToBase64String(Encoding.UTF8.GetBytes(pair))
            : parts.ElementAtOrDefault(1);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Authorization = new AuthenticationHeaderValue(parts[0], value);
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task Other_origins_must_be_refused_unless_they_are_named()
    {
        await using HttpHost closed = await HttpHost.StartAsync();
        await using HttpHost open = await HttpHost.StartAsync(
            new EndpointOptions { CorsOrigins = ["https://chat.example.org"], ApiKeys = ["key"] });
        Assert.Null(await AllowedOriginAsync(closed, "https://chat.example.org"));
        Assert.Null(await AllowedOriginAsync(open, "https://evil.example.org"));
        Assert.Equal("https://chat.example.org", await AllowedOriginAsync(open, "https://chat.example.org"));
    }

    [Theory]
    [InlineData("localhost:8080", HttpStatusCode.OK)]
    [InlineData("127.0.0.1", HttpStatusCode.OK)]
    [InlineData("[::1]:8080", HttpStatusCode.OK)]
    [InlineData("chat.example.org", HttpStatusCode.OK)]
    [InlineData("evil.example.org", HttpStatusCode.MisdirectedRequest)]
    [InlineData("127.0.0.1.evil.example.org", HttpStatusCode.MisdirectedRequest)]
    public async Task Foreign_host_names_must_be_refused_on_loopback(string name, HttpStatusCode expected)
    {
        await using HttpHost host = await HttpHost.StartAsync(new EndpointOptions { AllowedHosts = ["chat.example.org"] });
        await using HttpHost keyed = await HttpHost.StartAsync(WithKeys);
        Assert.Equal(expected, await StatusAsync(host, name));
        // The key guards as well.
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(keyed, name));

        static async Task<HttpStatusCode> StatusAsync(HttpHost host, string name)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
            request.Headers.Host = name;
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", "first-key");
            using HttpResponseMessage response = await host.Client.SendAsync(request);
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task Giant_headers_must_be_refused_and_the_server_live_on()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.Add("X-Giant", new string('x', 100_000));
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, response.StatusCode);
        await host.GetJsonAsync("/v1/models");
    }

    [Theory]
    [InlineData("", "https://a.example")]
    [InlineData("two words", "https://a.example")]
    [InlineData("key", "https://a.example/path")]
    [InlineData("key", "*")]
    public void Settings_that_cannot_work_must_be_refused_at_start(string key, string origin)
    {
        var options = new EndpointOptions { ApiKeys = [key], CorsOrigins = [origin] };
        Assert.Throws<ArgumentException>(options.Validate);
    }

    private static async Task<string?> AllowedOriginAsync(HttpHost host, string origin)
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", "POST");
        request.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        return response.Headers.TryGetValues("Access-Control-Allow-Origin", out var values) ? values.Single() : null;
    }
}
