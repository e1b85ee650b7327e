using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Tests.Http;

namespace Llama3Cluster.Gateway.Tests.Web;

public sealed partial class WebPageTests
{
    [Fact]
    public async Task The_page_must_be_served_with_a_policy_that_lets_only_its_own_files_run()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        using HttpResponseMessage response = await host.Client.GetAsync("/");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text/html; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        string policy = response.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self';", policy);
        Assert.DoesNotContain("unsafe", policy);
        Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
    }

    [Fact]
    public async Task Every_file_that_the_page_names_must_be_there_and_none_be_elsewhere()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        var pending = new Queue<string>(["/"]);
        var seen = new Dictionary<string, string>();
        while (pending.TryDequeue(out string? path))
        {
            using HttpResponseMessage response = await host.Client.GetAsync(path);
            Assert.True(response.IsSuccessStatusCode, path);
            string text = await response.Content.ReadAsStringAsync();
            seen.Add(path, text);
            foreach (Match file in FileReference().Matches(text))
            {
                string name = "/web/" + file.Groups[1].Value;
                if (!seen.ContainsKey(name) && !pending.Contains(name))
                    pending.Enqueue(name);
            }
        }

        Assert.Equal(
            ["/", "/web/api.js", "/web/chat.js", "/web/cluster.js", "/web/favicon.svg", "/web/page.css"],
            seen.Keys.Order(StringComparer.Ordinal));
        Assert.All(seen.Values, text => Assert.DoesNotMatch("https?://(?!www\\.w3\\.org/2000/svg)", text));
        // The policy would silently drop scripts and styles inside the page.
        Assert.DoesNotMatch("<script(?![^>]*src=)|<style|\\sstyle=|\\son[a-z]+=", seen["/"]);
    }

    [Fact]
    public async Task A_browser_must_not_load_what_it_has()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        using HttpResponseMessage first = await host.Client.GetAsync("/web/page.css");
        using var again = new HttpRequestMessage(HttpMethod.Get, "/web/page.css");
        again.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using HttpResponseMessage second = await host.Client.SendAsync(again);
        Assert.Equal(HttpStatusCode.NotModified, second.StatusCode);
    }

    [Fact]
    public async Task A_browser_with_the_key_must_get_the_page()
    {
        await using HttpHost host = await HttpHost.StartAsync(new EndpointOptions { ApiKeys = ["key"] });
        foreach (string path in new[] { "/", "/web/chat.js" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.Authorization = new AuthenticationHeaderValue(
                "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(":key")));
            using HttpResponseMessage response = await host.Client.SendAsync(request);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
    }

    [GeneratedRegex("""["'](?:/web|\.)/([a-z.]+)["'#]""")]
    private static partial Regex FileReference();
}
