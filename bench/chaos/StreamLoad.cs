using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

namespace Llama3Cluster.Chaos;

/// <summary>
/// Greedy streams that never stop: each worker asks for its own prompt again and again, compares what it gets with the answer that the
/// unfaulted cluster gave, and notes when every piece of text came.
/// </summary>
internal sealed class StreamLoad : IAsyncDisposable
{
    private readonly ChaosCluster _cluster;
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(5) };
    private readonly Uri[] _gateways;
    private readonly int _tokens;
    private readonly string[] _prompts;
    private readonly string[] _expected;
    private readonly List<long>[] _arrivals;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<string> _problems = new();
    private Task[] _workers = [];
    private int _completed;
    private int _failed;
    private int _different;
    private int _resumptions;

    private StreamLoad(ChaosCluster cluster, int streams, int tokens)
    {
        _cluster = cluster;
        _gateways = [.. cluster.Gateways.Select(gateway => gateway.Http.BaseAddress!)];
        _tokens = tokens;
        _prompts = [.. Enumerable.Range(0, streams).Select(i => string.Create(CultureInfo.InvariantCulture, $"Once upon a time, {i} little rabbits and {i * 7 % 11} dogs"))];
        _expected = new string[streams];
        _arrivals = [.. Enumerable.Range(0, streams).Select(_ => new List<long>())];
    }

    /// <summary>Streams that were complete and right.</summary>
    public int Completed => Volatile.Read(ref _completed);

    /// <summary>Streams that ended with an error.</summary>
    public int Failed => Volatile.Read(ref _failed);

    /// <summary>Streams whose text was not the unfaulted one.</summary>
    public int Different => Volatile.Read(ref _different);

    /// <summary>How often a stream went on at another gateway.</summary>
    public int Resumptions => Volatile.Read(ref _resumptions);

    /// <summary>What went wrong.</summary>
    public IEnumerable<string> Problems => _problems;

    /// <summary>Tokens that arrived, all streams together.</summary>
    public long Tokens => _arrivals.Sum(times => { lock (times) return (long)times.Count; });

    /// <summary>Learns the right answers, then starts the streams.</summary>
    public static async Task<StreamLoad> StartAsync(ChaosCluster cluster, int streams, int tokens)
    {
        var load = new StreamLoad(cluster, streams, tokens);
        await Task.WhenAll(Enumerable.Range(0, streams).Select(async i => load._expected[i] = await load.CompleteAsync(i)));
        load._workers = [.. Enumerable.Range(0, streams).Select(i => Task.Run(() => load.WorkAsync(i)))];
        long before = load.Tokens;
        await cluster.UntilAsync(() => Task.FromResult(load._arrivals.All(times => { lock (times) return times.Count > 2; })), TimeSpan.FromSeconds(60), "token on every stream");
        return load;
    }

    /// <summary>Lets every stream come to its end and starts no more.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_workers);
    }

    /// <summary>
    /// How long each stream stood still because of what happened between two moments: its longest gap between two arrivals that
    /// ended after the first moment and began before the second, counted from the first moment on.
    /// </summary>
    public IReadOnlyList<TimeSpan> Pauses(long from, long until) => [.. _arrivals.Select(times => LongestGap(times, from, until))];

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _stop.Dispose();
        _http.Dispose();
    }

    private static TimeSpan LongestGap(List<long> times, long from, long until)
    {
        lock (times)
        {
            long longest = 0, now = Stopwatch.GetTimestamp();
            int first = times.BinarySearch(from);
            for (int i = first < 0 ? ~first : first; i <= times.Count; i++)
            {
                long begin = Math.Max(i == 0 ? from : times[i - 1], from), end = i < times.Count ? times[i] : Math.Min(now, until);
                if (begin >= until)
                    break;
                longest = Math.Max(longest, end - begin);
            }

            return Stopwatch.GetElapsedTime(0, longest);
        }
    }

    private async Task WorkAsync(int worker)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                string text = await StreamAsync(worker);
                if (text == _expected[worker])
                {
                    Interlocked.Increment(ref _completed);
                    continue;
                }

                Interlocked.Increment(ref _different);
                _problems.Enqueue($"stream {worker} got\n  {text}\ninstead of\n  {_expected[worker]}");
            }
            catch (Exception error) when (error is HttpRequestException or IOException or OperationCanceledException or JsonException or InvalidDataException)
            {
                Interlocked.Increment(ref _failed);
                _problems.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} stream {worker}: {error.Message}");
                await Task.Delay(200);
            }
        }
    }

    private async Task<string> CompleteAsync(int worker)
    {
        using HttpResponseMessage response = await _cluster.Gateways[0].Http.PostAsJsonAsync(
            "/v1/completions", new { model = "demo", prompt = _prompts[worker], max_tokens = _tokens, temperature = 0, ignore_eos = true });
        string body = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
            throw new InvalidDataException($"{(int)response.StatusCode}: {body}");
        return JsonSerializer.Deserialize<JsonElement>(body).GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    private async Task<string> StreamAsync(int worker)
    {
        var stream = new ResumingStream(_http, _gateways, _prompts[worker], _tokens, () =>
        {
            lock (_arrivals[worker])
                _arrivals[worker].Add(Stopwatch.GetTimestamp());
        });
        string text = await stream.ReadAsync(worker);
        Interlocked.Add(ref _resumptions, stream.Resumptions);
        return text;
    }
}
