using System.Reflection;
using System.Security.Cryptography;
using Microsoft.Net.Http.Headers;

namespace Llama3Cluster.Gateway.Web;

/// <summary>The web page at /: a chat and the live picture of the cluster. Its files are part of the program.</summary>
internal static class WebPage
{
    private const string ResourcePrefix = "web/";

    /// <summary>Only what this gateway serves runs, and nobody may frame it.</summary>
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly Dictionary<string, string> ContentTypes = new(StringComparer.Ordinal)
    {
        [".html"] = "text/html; charset=utf-8",
        [".css"] = "text/css; charset=utf-8",
        [".js"] = "text/javascript; charset=utf-8",
        [".svg"] = "image/svg+xml",
    };

    /// <summary>Maps the page and its files.</summary>
    public static void MapWebPage(this IEndpointRouteBuilder routes)
    {
        Assembly assembly = typeof(WebPage).Assembly;
        foreach (string resource in assembly.GetManifestResourceNames())
        {
            if (!resource.StartsWith(ResourcePrefix, StringComparison.Ordinal))
                continue;
            byte[] content = Read(assembly, resource);
            var tag = new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(content))[..16]}\"");
            string contentType = ContentTypes[Path.GetExtension(resource)];
            string path = resource == ResourcePrefix + "index.html" ? "/" : "/" + resource;
            routes.MapMethods(path, [HttpMethods.Get, HttpMethods.Head], (HttpContext context) =>
            {
                IHeaderDictionary headers = context.Response.Headers;
                headers.ContentSecurityPolicy = ContentSecurityPolicy;
                headers.XContentTypeOptions = "nosniff";
                headers["Referrer-Policy"] = "no-referrer";
                // A new gateway's page must not meet an old one's script.
                headers.CacheControl = "no-cache";
                return Results.Bytes(content, contentType, entityTag: tag);
            });
        }
    }

    private static byte[] Read(Assembly assembly, string resource)
    {
        using Stream stream = assembly.GetManifestResourceStream(resource)!;
        byte[] content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }
}
