using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace Llama3Cluster.Chaos;

/// <summary>A client of several gateways: when it loses its stream, it goes on with it at the next one, after the last event that it has.</summary>
/// <param name="client">What to ask with; its time limit must be longer than an answer takes.</param>
/// <param name="gateways">Where to ask.</param>
/// <param name="prompt">The prompt.</param>
/// <param name="tokens">Tokens of the answer.</param>
/// <param name="onText">Called for each piece of text that comes; null for nothing.</param>
internal sealed class ResumingStream(HttpClient client, IReadOnlyList<Uri> gateways, string prompt, int tokens, Action? onText = null)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly StringBuilder _text = new();
    private readonly TaskCompletionSource _firstText = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _request;
    private string? _lastEvent;

    /// <summary>How often it went on elsewhere.</summary>
    public int Resumptions { get; private set; }

    /// <summary>Waits until a token has come.</summary>
    public Task FirstTextAsync() => _firstText.Task;

    /// <summary>Reads the whole answer.</summary>
    /// <param name="firstGateway">Where it begins; with one gateway only, what is lost there is not asked for again.</param>
    /// <exception cref="InvalidDataException">The gateway answered with an error, or ended the stream too soon and there is no other.</exception>
    /// <exception cref="HttpRequestException">It did not answer, and there is no other.</exception>
    /// <exception cref="OperationCanceledException">No gateway had the rest of the answer for too long.</exception>
    public async Task<string> ReadAsync(int firstGateway)
    {
        using var deadline = new CancellationTokenSource(Patience);
        for (int attempt = firstGateway; !await TryReadAsync(gateways[attempt % gateways.Count], deadline.Token); attempt++)
            await Task.Delay(Pause, deadline.Token);
        return _text.ToString();
    }

    private async Task<bool> TryReadAsync(Uri gateway, CancellationToken cancellation)
    {
        try
        {
            using HttpRequestMessage request = _request is null ? Begin(gateway) : GoOn(gateway);
            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
            if (response.StatusCode is HttpStatusCode.ServiceUnavailable && gateways.Count > 1)
                return false;
            if (!response.IsSuccessStatusCode)
                throw new InvalidDataException($"{gateway}: {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(cancellation)}");
            Resumptions += _request is null ? 0 : 1;
            _request = response.Headers.GetValues("x-request-id").Single();
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellation));
            return await ReadEventsAsync(reader, cancellation) || (gateways.Count > 1 ? false
                : throw new InvalidDataException($"the stream ended after {_text.Length} characters without [DONE]"));
        }
        catch (Exception error) when (error is HttpRequestException or IOException && gateways.Count > 1)
        {
            return false;
        }
    }

    private HttpRequestMessage Begin(Uri gateway) => new(HttpMethod.Post, new Uri(gateway, "/v1/completions"))
    {
        Content = JsonContent.Create(new { model = "demo", prompt, max_tokens = tokens, temperature = 0, stream = true, ignore_eos = true }),
    };

    private HttpRequestMessage GoOn(Uri gateway)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, new Uri(gateway, $"/v1/generations/{_request}/events"));
        if (_lastEvent is not null)
            request.Headers.Add("Last-Event-ID", _lastEvent);
        return request;
    }

    // An event counts when all of it is there: what was cut off comes again.
    private async Task<bool> ReadEventsAsync(StreamReader reader, CancellationToken cancellation)
    {
        string? id = null, data = null;
        while (await reader.ReadLineAsync(cancellation) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                id = line["id: ".Length..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                data = line["data: ".Length..];
            if (line.Length > 0 || data is null)
                continue;
            if (data == "[DONE]")
                return true;
            Take(JsonSerializer.Deserialize<JsonElement>(data));
            (_lastEvent, id, data) = (id ?? _lastEvent, null, null);
        }

        return false;
    }

    private void Take(JsonElement answer)
    {
        if (answer.TryGetProperty("error", out JsonElement error))
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"the answer broke off: {error}"));
        _text.Append(answer.GetProperty("choices")[0].GetProperty("text").GetString());
        _firstText.TrySetResult();
        onText?.Invoke();
    }
}
