using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace Llama3Cluster.Benchmarks;

/// <summary>
/// Half a second a case: there are hundreds, and what they measure takes milliseconds. In this process, since nothing here depends on
/// how a process was started, and a build for each case would take longer than the case.
/// </summary>
internal sealed class ShortRuns : ManualConfig
{
    private static readonly Dictionary<Type, WorkOf> Works = new()
    {
        [typeof(LinearBenchmarks)] = LinearBenchmarks.WorkOf,
        [typeof(AttentionBenchmarks)] = AttentionBenchmarks.WorkOf,
        [typeof(RowBenchmarks)] = RowBenchmarks.WorkOf,
    };

    public ShortRuns()
    {
        AddJob(Job.Default
            .WithToolchain(InProcessEmitToolchain.DontLogOutput)
            .WithIterationTime(TimeInterval.FromMilliseconds(60))
            .WithWarmupCount(2)
            .WithIterationCount(5)
            .WithId("short"));
        AddColumnProvider(DefaultColumnProviders.Descriptor, DefaultColumnProviders.Params, DefaultColumnProviders.Statistics);
        AddColumn(new RateColumn("GB/s", work => work.Bytes, Works), new RateColumn("Gop/s", work => work.Operations, Works));
        AddLogger(ConsoleLogger.Default);
        AddExporter(MarkdownExporter.GitHub);
        WithOptions(ConfigOptions.DisableOptimizationsValidator);
    }
}
