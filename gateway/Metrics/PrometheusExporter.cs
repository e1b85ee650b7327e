using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>Listens to meters and writes what they measured in Prometheus' text format.</summary>
internal sealed class PrometheusExporter : IDisposable
{
    private readonly ConcurrentDictionary<Instrument, MetricFamily> _families = new();
    private readonly MeterListener _listener = new();

    /// <summary>Listens to the meters whose names begin so.</summary>
    public PrometheusExporter(params IReadOnlyList<string> meterPrefixes)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (meterPrefixes.Any(prefix => instrument.Meter.Name.StartsWith(prefix, StringComparison.Ordinal)))
                listener.EnableMeasurementEvents(instrument, FamilyOf(instrument));
        };
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.Start();
    }

    /// <summary>All metrics as text.</summary>
    public string Export()
    {
        _listener.RecordObservableInstruments();
        var output = new StringWriter(CultureInfo.InvariantCulture);
        foreach (MetricFamily family in _families.Values.OrderBy(family => family.Name, StringComparer.Ordinal))
            family.WriteTo(output);
        return output.ToString();
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    private static void Record(object? family, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        ((MetricFamily)family!).Record(value, tags);

    private MetricFamily FamilyOf(Instrument instrument) => _families.GetOrAdd(instrument, static item => new MetricFamily(item));
}
