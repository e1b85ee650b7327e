using Llama3Cluster.Gateway.Security;

namespace Llama3Cluster.Gateway.Http;

/// <summary>Settings of the HTTP endpoints. The defaults suit a gateway on loopback.</summary>
public sealed class EndpointOptions
{
    /// <summary>Keys of which a client must send one; empty lets everybody in. Every route but /health/* asks for it.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Origins whose web pages may call the API from a browser; empty allows only the gateway's own page.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];

    /// <summary>
    /// Host names, beside localhost, by which clients reach a gateway that listens on loopback without API keys; a reverse proxy
    /// that passes its clients' host on needs its name here.
    /// </summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Most bytes of a request's body.</summary>
    public int MaxRequestBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Most choices that a request may ask for with <c>n</c>.</summary>
    public int MaxChoices { get; init; } = 16;

    /// <summary>Most generations of one request: its prompts times <c>n</c>.</summary>
    public int MaxGenerations { get; init; } = 64;

    /// <summary>Time without a token after which a stream gets a comment line, so that proxies keep it open.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <exception cref="ArgumentException">A setting cannot be used; the message names it.</exception>
    internal void Validate()
    {
        ApiKeySet.Validate(ApiKeys, nameof(ApiKeys));
        foreach (string origin in CorsOrigins)
        {
            if (!Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) || uri.GetLeftPart(UriPartial.Authority) != origin)
                throw new ArgumentException(
                    $"'{origin}' is not an origin such as https://chat.example.org.", nameof(CorsOrigins));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRequestBytes, 1024, nameof(MaxRequestBytes));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxChoices, 1, nameof(MaxChoices));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxGenerations, MaxChoices, nameof(MaxGenerations));
        ArgumentOutOfRangeException.ThrowIfLessThan(KeepAliveInterval, TimeSpan.FromMilliseconds(1), nameof(KeepAliveInterval));
    }
}
