using System.Globalization;
using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>A Markdown table with the columns of llama-bench and the shares of the ceilings, between lines for people.</summary>
internal sealed class TableReport(TextWriter output) : IBenchReport
{
    private BenchModel? _model;
    private CpuCeilings? _ceilings;

    public void Machine(string processor, CpuCeilings? ceilings)
    {
        _ceilings = ceilings;
        Write($"{processor}, {Environment.ProcessorCount} {(Environment.ProcessorCount == 1 ? "core" : "cores")}");
        if (ceilings is null)
            return;
        Write($"ceilings with {ceilings.Threads} {(ceilings.Threads == 1 ? "thread" : "threads")} ({ceilings.Vectors}): read {ceilings.ReadBytesPerSecond / 1e9:0.0} GB/s; multiply-add int8 {ceilings.ByteOperationsPerSecond / 1e9:0} Gop/s, int16 {ceilings.WordOperationsPerSecond / 1e9:0} Gop/s, fp32 {ceilings.FloatOperationsPerSecond / 1e9:0} GFLOP/s");
    }

    public void Model(BenchModel model)
    {
        _model = model;
        Write($"loaded in {model.LoadSeconds:0.00} s; first token after {model.FirstTokenSeconds:0.00} s more, {model.StartSeconds:0.00} s from the program's start");
        output.WriteLine();
        output.WriteLine("| model | type | size | device | threads | stages | test | tokens/s (median) | lowest | highest | GB/s | of read | Gop/s | of multiply-add |");
        output.WriteLine("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    }

    public void Row(BenchRow row)
    {
        BenchModel m = _model!;
        Write($"| {m.Model} | {m.Type} | {ByteSize.Format(m.Bytes)} | {m.Device} | {m.Threads} | {m.Stages} | {row.Test} | {row.Median:0.00} | {row.Rates.Min():0.00} | {row.Rates.Max():0.00} | {Giga(row.ReadBytesPerSecond)} | {Share(row.ReadBytesPerSecond / _ceilings?.ReadBytesPerSecond)} | {Giga(row.OperationsPerSecond)} | {Share(row.OfOperations)} |");
    }

    public void Memory(ResidentMemory? resident, long weightBytes, long kvBytes)
    {
        output.WriteLine();
        string weights = $"weights {ByteSize.Format(weightBytes)}", kv = $"KV cache {ByteSize.Format(kvBytes)}";
        output.WriteLine(resident is null
            ? $"{weights}, {kv}"
            : $"in memory: {ByteSize.Format(resident.FileBytes)} of files ({weights}), {ByteSize.Format(resident.AnonymousBytes)} of its own ({kv})");
    }

    private static string Giga(double? perSecond) => perSecond is { } value ? (value / 1e9).ToString("0.0", CultureInfo.InvariantCulture) : "";

    private static string Share(double? share) => share is { } value ? value.ToString("0%", CultureInfo.InvariantCulture) : "";

    private void Write(FormattableString line) => output.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
