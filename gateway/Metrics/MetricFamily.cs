using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>The series of one instrument, in Prometheus' terms: a counter, a gauge or a histogram.</summary>
internal sealed class MetricFamily
{
    private static readonly double[] DefaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly ConcurrentDictionary<string, MetricSeries> _series = new();
    private readonly MetricSeries _unlabelled;
    private readonly string _help;
    private readonly string _type;
    private readonly bool _replaces;
    private readonly double[] _bounds = [];

    public MetricFamily(Instrument instrument)
    {
        _help = instrument.Description ?? instrument.Name;
        Name = instrument.Name.Replace('.', '_') + UnitOf(instrument);
        (_type, _replaces) = instrument switch
        {
            Histogram<double> => ("histogram", false),
            Counter<long> or Counter<double> or Counter<int> => ("counter", false),
            ObservableCounter<long> or ObservableCounter<double> or ObservableCounter<int> => ("counter", true),
            UpDownCounter<long> or UpDownCounter<double> or UpDownCounter<int> => ("gauge", false),
            _ => ("gauge", true),
        };
        if (_type == "counter")
            Name += "_total";
        if (instrument is Histogram<double> histogram)
            _bounds = [.. histogram.Advice?.HistogramBucketBoundaries ?? DefaultBounds];
        _unlabelled = new MetricSeries(_bounds);
    }

    /// <summary>Its name in Prometheus' terms.</summary>
    public string Name { get; }

    /// <summary>Takes a measurement.</summary>
    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        MetricSeries series = _unlabelled;
        if (!tags.IsEmpty)
            series = _series.GetOrAdd(Labels(tags), static (_, bounds) => new MetricSeries(bounds), _bounds);
        if (_replaces)
            series.Set(value);
        else
            series.Add(value);
    }

    /// <summary>Writes all series.</summary>
    public void WriteTo(TextWriter output)
    {
        var series = _series.OrderBy(item => item.Key, StringComparer.Ordinal).ToList();
        if (_unlabelled.HasValue)
            series.Insert(0, new("", _unlabelled));
        if (series.Count == 0)
            return;
        output.Write($"# HELP {Name} {_help}\n# TYPE {Name} {_type}\n");
        foreach (var (labels, item) in series)
            item.WriteTo(output, Name, labels);
    }

    /// <summary>Formats labels: <c>name="value",…</c>.</summary>
    public static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var labels = new List<string>(tags.Length);
        foreach (var (name, value) in tags)
        {
            string text = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
            string escaped = text.Replace("\\", "\\\\", StringComparison.Ordinal)
                .Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal);
            labels.Add($"{name.Replace('.', '_')}=\"{escaped}\"");
        }

        return string.Join(',', labels);
    }

    private static string UnitOf(Instrument instrument) => instrument.Unit switch
    {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
}
