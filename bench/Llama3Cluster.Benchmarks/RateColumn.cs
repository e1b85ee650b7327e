using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Llama3Cluster.Benchmarks;

/// <summary>Work a nanosecond, by the median time of a call: giga a second.</summary>
/// <param name="name">Of the column.</param>
/// <param name="amount">Which of the work's numbers.</param>
/// <param name="works">The classes whose work is known.</param>
internal sealed class RateColumn(string name, Func<Work, double> amount, IReadOnlyDictionary<Type, WorkOf> works) : IColumn
{
    public string Id => name;

    public string ColumnName => name;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => $"{name}: of the work of a call, by its median time";

    public bool IsAvailable(Summary summary) => true;

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        Descriptor descriptor = benchmarkCase.Descriptor;
        if (summary[benchmarkCase]?.ResultStatistics is not { Median: > 0 and var nanoseconds } || !works.TryGetValue(descriptor.Type, out WorkOf? workOf))
            return "";
        double done = amount(workOf(descriptor.WorkloadMethod.Name, benchmarkCase.Parameters));
        return done == 0 ? "" : (done / nanoseconds).ToString("0.0", CultureInfo.InvariantCulture);
    }

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);
}
