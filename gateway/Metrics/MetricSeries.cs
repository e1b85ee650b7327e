using System.Globalization;

namespace Llama3Cluster.Gateway.Metrics;

/// <summary>The value of one combination of labels: a number, or a histogram when there are bounds.</summary>
internal sealed class MetricSeries(double[] bounds)
{
    private readonly Lock _lock = new();
    private readonly long[] _buckets = new long[bounds.Length];
    private double _sum;
    private long _count;

    /// <summary>Whether a measurement came.</summary>
    public bool HasValue => Volatile.Read(ref _count) > 0;

    public void Add(double value)
    {
        // A bound is the largest value of its bucket.
        int bucket = Array.BinarySearch(bounds, value);
        bucket = bucket < 0 ? ~bucket : bucket;
        lock (_lock)
        {
            if (bucket < _buckets.Length)
                _buckets[bucket]++;
            _sum += value;
            _count++;
        }
    }

    public void Set(double value)
    {
        lock (_lock)
        {
            _sum = value;
            _count++;
        }
    }

    public void WriteTo(TextWriter output, string name, string labels)
    {
        lock (_lock)
        {
            if (bounds.Length == 0)
            {
                output.Write($"{name}{Braced(labels)} {Number(_sum)}\n");
                return;
            }

            string prefix = labels.Length == 0 ? "" : labels + ",";
            long cumulative = 0;
            for (int i = 0; i < bounds.Length; i++)
            {
                cumulative += _buckets[i];
                output.Write($"{name}_bucket{{{prefix}le=\"{Number(bounds[i])}\"}} {cumulative}\n");
            }

            output.Write($"{name}_bucket{{{prefix}le=\"+Inf\"}} {_count}\n");
            output.Write($"{name}_sum{Braced(labels)} {Number(_sum)}\n");
            output.Write($"{name}_count{Braced(labels)} {_count}\n");
        }
    }

    /// <summary>A number as Prometheus reads it.</summary>
    public static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static string Braced(string labels) => labels.Length == 0 ? "" : $"{{{labels}}}";
}
