using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;

namespace Llama3Cluster.Chaos;

/// <summary>One process of the program. What it prints is kept, and can be waited for.</summary>
internal sealed class NodeProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly List<Awaited> _awaited = [];

    private NodeProcess(string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "llama3cluster.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => Take(line.Data);
        _process.ErrorDataReceived += (_, line) => Take(line.Data);
        _process.Exited += (_, _) => GiveUp();
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Everything that it has printed.</summary>
    public string Output
    {
        get
        {
            lock (_output)
                return _output.ToString();
        }
    }

    public static NodeProcess Start(params string[] arguments) => new(arguments);

    /// <summary>A port that was free a moment ago, outside the range from which the system takes those of outgoing connections.</summary>
    public static int FreePort()
    {
        while (true)
        {
            int port = Random.Shared.Next(10_000, 32_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // taken: another one
            }
        }
    }

    /// <summary>Waits until it has printed a line that matches, or so many of them.</summary>
    public async Task<string> LineAsync(string pattern, int times = 1)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var regex = new Regex(pattern);
        lock (_output)
        {
            foreach (string line in _output.ToString().Split('\n'))
            {
                if (regex.IsMatch(line) && --times == 0)
                    return line;
            }

            _awaited.Add(new Awaited(regex, seen) { Times = times });
        }

        if (_process.HasExited)
            GiveUp();

        try
        {
            return await seen.Task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"process {Id} printed no line like \"{pattern}\" in {Patience.TotalSeconds} s, but:\n{Output}");
        }
    }

    /// <summary>Asks it to end, as Ctrl-C does, and waits for it.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> InterruptAsync()
    {
        await SignalAsync("INT");
        return await ExitAsync();
    }

    /// <summary>Sends it a signal.</summary>
    /// <param name="signal">Its name without SIG: <c>TERM</c>, <c>STOP</c>, <c>CONT</c>.</param>
    public async Task SignalAsync(string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Waits until it ends by itself.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>Ends it at once, as kill -9 does.</summary>
    public void Kill() => _process.Kill();

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    // What it has not printed when it ends, it never will.
    private void GiveUp()
    {
        _process.WaitForExit(); // until its output has been read to the end
        lock (_output)
        {
            foreach ((Regex pattern, TaskCompletionSource<string> seen) in _awaited)
                seen.TrySetException(new InvalidOperationException($"process {Id} ended without a line like \"{pattern}\":\n{_output}"));
        }
    }

    private void Take(string? line)
    {
        if (line is null)
            return;
        lock (_output)
        {
            _output.Append(line).Append('\n');
            foreach (Awaited awaited in _awaited)
            {
                if (awaited.Pattern.IsMatch(line) && --awaited.Times == 0)
                    awaited.Seen.TrySetResult(line);
            }
        }
    }

    private sealed record Awaited(Regex Pattern, TaskCompletionSource<string> Seen)
    {
        public required int Times { get; set; }
    }
}
