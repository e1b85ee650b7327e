using System.Net;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Security;

/// <summary>
/// Refuses foreign host names on loopback while no key guards the gateway: a web page could point a name of its own at this
/// machine and then, being of the same origin as the browser sees it, call the API (DNS rebinding). Addresses cannot be used so.
/// </summary>
internal sealed class HostMiddleware(RequestDelegate next, EndpointOptions options)
{
    public Task InvokeAsync(HttpContext context)
    {
        string host = context.Request.Host.Host;
        bool loopback = context.Connection.LocalIpAddress is { } address && IPAddress.IsLoopback(address);
        return !loopback || options.ApiKeys.Count > 0 || IsOwn(host)
            ? next(context)
            : throw new ApiException(
                StatusCodes.Status421MisdirectedRequest,
                $"The host name '{host}' is not this gateway's. Use localhost or its address, or allow the name in its settings.",
                null,
                "unknown_host");
    }

    private bool IsOwn(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || IPAddress.TryParse(host, out _)
        || options.AllowedHosts.Contains(host, StringComparer.OrdinalIgnoreCase);
}
