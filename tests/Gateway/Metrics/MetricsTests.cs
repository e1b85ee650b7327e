using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Metrics;
using Llama3Cluster.Gateway.Tests.Fakes;
using Llama3Cluster.Gateway.Tests.Http;

namespace Llama3Cluster.Gateway.Tests.Metrics;

public sealed class MetricsTests
{
    [Fact]
    public void Instruments_must_be_written_in_the_text_format_of_Prometheus()
    {
        using var meter = new Meter("Test." + Guid.NewGuid());
        using var exporter = new PrometheusExporter(meter.Name);
        var advice = new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1] };
        Histogram<double> histogram = meter.CreateHistogram("test.wait", "s", "Waits.", [], advice);
        Counter<long> counter = meter.CreateCounter<long>("test.calls", description: "Calls.");
        UpDownCounter<long> open = meter.CreateUpDownCounter<long>("test.open");
        meter.CreateObservableGauge("test.level", () => 7, "By");
        meter.CreateCounter<long>("test.unused");

        foreach (double value in new[] { 0.25, 0.5, 0.75, 3 })
            histogram.Record(value);
        counter.Add(2, new KeyValuePair<string, object?>("by.whom", "a\"b\\c\nd"));
        counter.Add(3, new KeyValuePair<string, object?>("by.whom", "a\"b\\c\nd"));
        counter.Add(1, new KeyValuePair<string, object?>("by.whom", 9));
        open.Add(5);
        open.Add(-2);

        Assert.Equal(
            """
            # HELP test_calls_total Calls.
            # TYPE test_calls_total counter
            test_calls_total{by_whom="9"} 1
            test_calls_total{by_whom="a\"b\\c\nd"} 5
            # HELP test_level_bytes test.level
            # TYPE test_level_bytes gauge
            test_level_bytes 7
            # HELP test_open test.open
            # TYPE test_open gauge
            test_open 3
            # HELP test_wait_seconds Waits.
            # TYPE test_wait_seconds histogram
            test_wait_seconds_bucket{le="0.5"} 2
            test_wait_seconds_bucket{le="1"} 3
            test_wait_seconds_bucket{le="+Inf"} 4
            test_wait_seconds_sum 4.5
            test_wait_seconds_count 4

            """.ReplaceLineEndings("\n"),
            exporter.Export());
    }

    [Fact]
    public async Task Generations_and_the_cluster_must_be_measured()
    {
        var service = new FakeInferenceService
        {
            Refusal = request => request.MaxTokens == 1 ? new(FailureCode.QueueFull, "full") : null,
        };
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        string before = await host.Client.GetStringAsync("/metrics");
        await host.PostJsonAsync("/v1/completions", """{"model":"test/model-1","prompt":"Say"}""");
        await host.PostJsonAsync("/v1/completions", """{"model":"test/model-1","prompt":"Say","max_tokens":3}""");
        await host.PostRefusedAsync(
            "/v1/completions", """{"model":"test/model-1","prompt":"Say","max_tokens":1}""", HttpStatusCode.TooManyRequests);
        string after = await host.Client.GetStringAsync("/metrics");

        // Other tests in the process are measured too, so the difference is at least what was done here.
        Assert.All(
            new[]
            {
                ("llama3cluster_generations_total{outcome=\"stop\"}", 1),
                ("llama3cluster_generations_total{outcome=\"length\"}", 1),
                ("llama3cluster_generations_total{outcome=\"queue_full\"}", 1),
                ("llama3cluster_prompt_tokens_total", 8),
                ("llama3cluster_generated_tokens_total", 16),
                ("llama3cluster_time_to_first_token_seconds_count", 2),
                ("llama3cluster_time_between_tokens_seconds_count", 14),
                ("llama3cluster_generation_duration_seconds_count", 3),
            },
            expected => Assert.True(
                ValueOf(after, expected.Item1) - ValueOf(before, expected.Item1) >= expected.Item2, expected.Item1));
        Assert.Equal(512, ValueOf(after, "llama3cluster_replica_kv_blocks_used{replica=\"r0\"}"));
        Assert.Equal(2, ValueOf(after, "llama3cluster_nodes{status=\"up\"}"));
        Assert.Contains("http_server_request_duration_seconds_count", after);
        Assert.All(after.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches(Line, line));
    }

    private const string Line = """^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? [-+0-9.eE]+)$""";

    private static double ValueOf(string metrics, string series)
    {
        Match match = Regex.Match(metrics, $"^{Regex.Escape(series)} (.+)$", RegexOptions.Multiline);
        return match.Success ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
    }
}
