using System.Text.Json;
using System.Text.Json.Serialization;
using Llama3Cluster.Kernels.Cpu.Ceilings;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>One JSON object a line; <c>kind</c> says what it is.</summary>
internal sealed class JsonReport(TextWriter output) : IBenchReport
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private BenchModel? _model;
    private CpuCeilings? _ceilings;

    public void Machine(string processor, CpuCeilings? ceilings)
    {
        _ceilings = ceilings;
        Write(new
        {
            Kind = "machine",
            Processor = processor,
            Cores = Environment.ProcessorCount,
            ceilings?.Vectors,
            ceilings?.Threads,
            ceilings?.ReadBytesPerSecond,
            ceilings?.ByteOperationsPerSecond,
            ceilings?.WordOperationsPerSecond,
            ceilings?.FloatOperationsPerSecond,
        });
    }

    public void Model(BenchModel model)
    {
        _model = model;
        Write(new { Kind = "model", model.Model, model.Type, model.Bytes, model.StepReadBytes, model.LoadSeconds, model.FirstTokenSeconds, model.StartSeconds });
    }

    public void Row(BenchRow row) => Write(new
    {
        Kind = "test",
        _model!.Model,
        _model.Type,
        _model.Bytes,
        _model.Device,
        _model.Threads,
        _model.Stages,
        row.Test,
        row.Median,
        Lowest = row.Rates.Min(),
        Highest = row.Rates.Max(),
        row.Rates,
        row.ReadBytesPerSecond,
        OfReadCeiling = row.ReadBytesPerSecond / _ceilings?.ReadBytesPerSecond,
        row.OperationsPerSecond,
        OfOperationsCeiling = row.OfOperations,
    });

    public void Memory(ResidentMemory? resident, long weightBytes, long kvBytes) => Write(new
    {
        Kind = "memory",
        ResidentFileBytes = resident?.FileBytes,
        ResidentAnonymousBytes = resident?.AnonymousBytes,
        WeightBytes = weightBytes,
        KvBytes = kvBytes,
    });

    private void Write<T>(T line) => output.WriteLine(JsonSerializer.Serialize(line, Options));
}
