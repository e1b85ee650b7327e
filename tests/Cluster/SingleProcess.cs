namespace Llama3Cluster.Cluster.Tests;

/// <summary>A gateway with stages of its own: one process that serves the demo model.</summary>
internal sealed class SingleProcess : IAsyncDisposable
{
    private SingleProcess(NodeProcess process, int http, int tcp, int cluster)
    {
        Process = process;
        (TcpPort, ClusterPort) = (tcp, cluster);
        Http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{http}"), Timeout = TimeSpan.FromMinutes(2) };
    }

    public NodeProcess Process { get; }

    public HttpClient Http { get; }

    public int TcpPort { get; }

    public int ClusterPort { get; }

    public static async Task<SingleProcess> StartAsync(params string[] options)
    {
        int http = NodeProcess.FreePort(), tcp = NodeProcess.FreePort(), cluster = NodeProcess.FreePort();
        NodeProcess process = NodeProcess.Start(
            ["serve", "--http", $"127.0.0.1:{http}", "--tcp", $"127.0.0.1:{tcp}", "--cluster", $"127.0.0.1:{cluster}", .. options]);
        var server = new SingleProcess(process, http, tcp, cluster);
        try
        {
            await process.LineAsync("^ready ");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Process.DisposeAsync();
    }
}
