using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Llama3Cluster.Chaos;

/// <summary>
/// TCP proxies in front of every process's cluster and data port. A process can be cut off: bytes between it and the others stop,
/// as if the network were gone, without an end of any connection. Links can be made slow.
/// </summary>
internal sealed class ProxyNetwork : IDisposable
{
    private readonly ConcurrentDictionary<string, string> _nodeOf = new(); // advertised address -> the node's first address
    private readonly ConcurrentDictionary<int, string> _nodeOfProcess = new();
    private readonly ConcurrentDictionary<string, bool> _isolated = new();
    private readonly List<TcpListener> _listeners = [];
    private readonly CancellationTokenSource _stop = new();

    /// <summary>How long every piece of data is held back on its way.</summary>
    public TimeSpan Delay { get; set; }

    /// <summary>Most bytes a second of each direction of a connection; 0 for no limit.</summary>
    public long BytesPerSecond { get; set; }

    /// <summary>Pieces of data that were held back because an end was cut off.</summary>
    public long Held => Interlocked.Read(ref _held);

    private long _held;

    /// <summary>Puts a proxy in front of an address.</summary>
    /// <returns>The proxy's address.</returns>
    public string Front(string target)
    {
        var listener = new TcpListener(IPAddress.Loopback, NodeProcess.FreePort());
        listener.Start();
        _listeners.Add(listener);
        string front = listener.LocalEndpoint.ToString()!;
        _nodeOf[front] = front;
        _ = AcceptAsync(listener, front, IPEndPoint.Parse(target));
        return front;
    }

    /// <summary>Two proxies are in front of one node.</summary>
    public void Same(string first, string second) => _nodeOf[second] = first;

    /// <summary>A process is the node behind a proxy.</summary>
    public void Belongs(int process, string front) => _nodeOfProcess[process] = front;

    /// <summary>Cuts a process off from all others.</summary>
    public void Isolate(int process) => _isolated[_nodeOfProcess[process]] = true;

    /// <summary>Ends that: what was held back flows on.</summary>
    public void Heal(int process) => _isolated.TryRemove(_nodeOfProcess[process], out _);

    public void Dispose()
    {
        _stop.Cancel();
        foreach (TcpListener listener in _listeners)
            listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync(TcpListener listener, string front, IPEndPoint target)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                _ = CarryAsync(await listener.AcceptTcpClientAsync(_stop.Token), front, target);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task CarryAsync(TcpClient client, string front, IPEndPoint target)
    {
        using var server = new TcpClient();
        using (client)
        {
            try
            {
                string from = SourceOf(((IPEndPoint)client.Client.RemoteEndPoint!).Port), to = _nodeOf[front];
                await UntilOpenAsync(from, to);
                await server.ConnectAsync(target, _stop.Token);
                client.NoDelay = server.NoDelay = true;
                using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                Task there = PumpAsync(client, server, from, to, ended.Token), back = PumpAsync(server, client, from, to, ended.Token);
                await Task.WhenAny(there, back);
                client.Client.Dispose();
                server.Client.Dispose();
                await ended.CancelAsync();
                await Task.WhenAll(there, back);
            }
            catch (Exception error) when (error is SocketException or IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
            {
                // A side that is gone takes the other with it.
            }
        }
    }

    private async Task PumpAsync(TcpClient source, TcpClient target, string from, string to, CancellationToken ended)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            while (true)
            {
                int count = await source.Client.ReceiveAsync(buffer, ended);
                if (count == 0)
                    return;
                if (Delay > TimeSpan.Zero)
                    await Task.Delay(Delay, ended);
                if (BytesPerSecond > 0)
                    await Task.Delay(TimeSpan.FromSeconds((double)count / BytesPerSecond), ended);
                await UntilOpenAsync(from, to);
                await target.GetStream().WriteAsync(buffer.AsMemory(0, count), ended);
            }
        }
        catch (Exception error) when (error is SocketException or IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // The same as an end.
        }
    }

    private async Task UntilOpenAsync(string from, string to)
    {
        if (!_isolated.ContainsKey(from) && !_isolated.ContainsKey(to))
            return;
        Interlocked.Increment(ref _held);
        while (_isolated.ContainsKey(from) || _isolated.ContainsKey(to))
            await Task.Delay(20, _stop.Token);
    }

    // Whose connection comes from a local port: the kernel's table has the socket's number, the process has it open.
    private string SourceOf(int port)
    {
        string local = string.Create(CultureInfo.InvariantCulture, $"0100007F:{port:X4}");
        foreach (string table in (string[])["/proc/net/tcp", "/proc/net/tcp6"])
        {
            foreach (string line in File.ReadLines(table).Skip(1))
            {
                string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (!fields[1].EndsWith(local[^5..], StringComparison.Ordinal) || !fields[1].Contains("0100007F", StringComparison.Ordinal))
                    continue;
                if (OwnerOf($"socket:[{fields[9]}]") is { } owner)
                    return owner;
            }
        }

        return "";
    }

    private string? OwnerOf(string socket)
    {
        foreach ((int process, string node) in _nodeOfProcess)
        {
            try
            {
                if (Directory.EnumerateFileSystemEntries($"/proc/{process}/fd").Any(handle => File.ResolveLinkTarget(handle, returnFinalTarget: false)?.Name == socket))
                    return node;
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It ended, or closed the handle while we looked.
            }
        }

        return null;
    }
}
