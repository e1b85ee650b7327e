using System.Net.Http.Headers;
using System.Text;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Security;
using Microsoft.Extensions.Primitives;

namespace Llama3Cluster.Gateway.Http.Security;

/// <summary>
/// Lets in who sends an API key: as a bearer token or, from a browser, as the password of basic authentication. It stands
/// before the router, so that no route can be left open; only the health checks are.
/// </summary>
internal sealed class ApiKeyMiddleware(RequestDelegate next, EndpointOptions options)
{
    private readonly ApiKeySet _keys = new(options.ApiKeys);

    /// <summary>Whom the generations of a request belong to.</summary>
    public static string OwnerOf(HttpContext context) => context.Items[typeof(ApiKeyMiddleware)] as string ?? "";

    public Task InvokeAsync(HttpContext context)
    {
        if (_keys.IsEmpty || context.Request.Path.StartsWithSegments("/health"))
            return next(context);
        string? key = SentKey(context.Request.Headers.Authorization.ToString());
        if (key is not null && _keys.Contains(key))
        {
            context.Items[typeof(ApiKeyMiddleware)] = _keys.OwnerOf(key);
            return next(context);
        }

        // The second makes a browser ask its user for the key, and send it for the page's files and calls too.
        context.Response.Headers.WWWAuthenticate =
            new StringValues(["Bearer", "Basic realm=\"Llama3Cluster: the API key is the password\", charset=\"UTF-8\""]);
        throw new ApiException(
            StatusCodes.Status401Unauthorized,
            key is null ? "An API key is needed: send 'Authorization: Bearer KEY'." : "The API key is not known here.",
            null,
            key is null ? "missing_api_key" : "invalid_api_key");
    }

    private static string? SentKey(string authorization)
    {
        if (!AuthenticationHeaderValue.TryParse(authorization, out var header) || header.Parameter is null)
            return null;
        if (header.Scheme.Equals("Bearer", StringComparison.OrdinalIgnoreCase))
            return header.Parameter;
        if (!header.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase))
            return null;
        byte[] credentials = new byte[header.Parameter.Length];
        if (!Convert.TryFromBase64String(header.Parameter, credentials, out int length))
            return null;
        string[] parts = Encoding.UTF8.GetString(credentials, 0, length).Split(':', 2);
        return parts.Length == 2 ? parts[1] : null;
    }
}
