namespace Llama3Cluster.Gateway.Tests.Http;

/// <summary>One host for tests that leave no trace in it.</summary>
public sealed class HttpHostFixture : IAsyncLifetime
{
    internal HttpHost Host { get; private set; } = null!;

    public async Task InitializeAsync() => Host = await HttpHost.StartAsync();

    public async Task DisposeAsync() => await Host.DisposeAsync();
}
