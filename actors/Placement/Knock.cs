using System.Net;
using System.Net.Sockets;

namespace Llama3Cluster.Actors.Placement;

/// <summary>
/// Tells a process that has ended from a network that is broken. A port that refuses twice has no process behind it; one that was just
/// killed may still accept for some milliseconds. What does not answer at all proves nothing, and is left to the split brain resolver.
/// </summary>
internal static class Knock
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(30);

    /// <summary>Whether nobody listens at a cluster address any more.</summary>
    /// <param name="node">The address, an IP address and a port.</param>
    public static async Task<bool> IsGoneAsync(string node)
    {
        if (!IPEndPoint.TryParse(node, out IPEndPoint? endpoint))
            return false;
        for (int attempt = 0; attempt < 2; attempt++)
        {
            if (!await IsRefusedAsync(endpoint).ConfigureAwait(false))
                return false;
            await Task.Delay(Pause).ConfigureAwait(false);
        }

        return true;
    }

    private static async Task<bool> IsRefusedAsync(IPEndPoint endpoint)
    {
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var soon = new CancellationTokenSource(Timeout);
        try
        {
            await socket.ConnectAsync(endpoint, soon.Token).ConfigureAwait(false);
            return false;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode == SocketError.ConnectionRefused;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
