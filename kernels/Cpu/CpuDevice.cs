using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>
/// The host's processor with its vector instructions and all its cores. Weights stay in the file's own format; those that
/// are multiplied by are also kept rearranged (see <see cref="Repack"/>). The widest vectors that the
/// processor has are chosen once, when the device is made.
/// </summary>
public sealed class CpuDevice : ComputeDevice
{
    // Of all memory an eighth stays free of rearranged weights: KV caches and buffers come after them.
    private const int SpareFraction = 8;

    private readonly WorkerPool _pool;
    private readonly CpuKernels _kernels;
    private readonly Repack _repack;

    /// <summary>Starts the device's threads.</summary>
    /// <param name="threads">Threads that compute, the calling one included; 0 for one a core.</param>
    /// <param name="repack">Whether memory is spent on rearranged weights.</param>
    public CpuDevice(int threads = 0, Repack repack = Repack.Auto)
        : this(threads, SimdPaths.Best, repack)
    {
    }

    /// <summary>A device with a vector width of the caller's choice.</summary>
    internal CpuDevice(int threads, SimdPath path, Repack repack = Repack.Auto)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        if (!SimdPaths.IsSupported(path))
            throw new PlatformNotSupportedException($"this processor has no {SimdPaths.NameOf(path)}");
        _pool = new WorkerPool(threads == 0 ? Environment.ProcessorCount : threads);
        _kernels = CpuKernels.Create(path, _pool);
        _repack = repack;
        Name = $"cpu ({SimdPaths.NameOf(path)}, {_pool.Threads} {(_pool.Threads == 1 ? "thread" : "threads")})";
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override long MemoryBytes => HostMemory.Total;

    /// <inheritdoc/>
    public override WeightMatrix LoadMatrix(TensorData data, WeightUse use = WeightUse.LookupAndProduct)
    {
        var matrix = new CpuMatrix(data);
        if (use.HasFlag(WeightUse.Product) && MaySpend(PanelFormats.BytesOf(data)))
            matrix.Pack(_pool);
        return matrix;
    }

    /// <inheritdoc/>
    public override DeviceTensor LoadVector(TensorData data)
    {
        var vector = new HostTensor(1, data.Columns);
        _kernels.Decode(data, vector);
        return vector;
    }

    /// <inheritdoc/>
    public override DeviceTensor Allocate(int rows, int columns) => new HostTensor(rows, columns);

    /// <inheritdoc/>
    public override KvCache AllocateKv(KvShape shape) => new HostKvCache(shape);

    /// <inheritdoc/>
    public override DeviceBatch AllocateBatch(int maxRows, int maxSequences, int maxBlocks) => new HostBatch();

    /// <inheritdoc/>
    public override void Embed(WeightMatrix table, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = Rows(batch);
        OperationChecks.Embed(table, rows.Tokens.AsSpan(0, rows.RowCount), output);
        _kernels.Embed(((CpuMatrix)table).Data, rows, (HostTensor)output);
    }

    /// <inheritdoc/>
    public override void RmsNorm(DeviceTensor input, DeviceTensor gain, float epsilon, int rows, DeviceTensor output)
    {
        OperationChecks.RmsNorm(input, gain, rows, output);
        _kernels.RmsNorm((HostTensor)input, (HostTensor)gain, epsilon, rows, (HostTensor)output);
    }

    /// <inheritdoc/>
    public override void Linear(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor output)
    {
        OperationChecks.Linear(weights, input, rows, output);
        _kernels.Linear([new LinearTarget(weights, output)], (HostTensor)input, rows);
    }

    /// <inheritdoc/>
    public override void Linear(ReadOnlySpan<LinearTarget> targets, DeviceTensor input, int rows)
    {
        foreach (ref readonly LinearTarget target in targets)
            OperationChecks.Linear(target.Weights, input, rows, target.Output);
        _kernels.Linear(targets, (HostTensor)input, rows);
    }

    /// <inheritdoc/>
    public override void RopeAngles(DeviceTensor frequencies, DeviceBatch batch, DeviceTensor angles)
    {
        RaggedBatch rows = Rows(batch);
        OperationChecks.RopeAngles(frequencies, rows.RowCount, angles);
        _kernels.RopeAngles((HostTensor)frequencies, rows, (HostTensor)angles);
    }

    /// <inheritdoc/>
    public override void RopeAndAppendKv(
        DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor angles, RopePairing pairing,
        KvCache cache, int layer, DeviceBatch batch)
    {
        RaggedBatch rows = Rows(batch);
        OperationChecks.RopeAndAppendKv(query, key, value, angles, cache.Shape, layer, rows);
        _kernels.RopeAndAppendKv(
            (HostTensor)query, (HostTensor)key, (HostTensor)value, (HostTensor)angles, pairing, (HostKvCache)cache, layer, rows);
    }

    /// <inheritdoc/>
    public override void PagedAttention(DeviceTensor query, KvCache cache, int layer, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = Rows(batch);
        OperationChecks.PagedAttention(query, cache.Shape, layer, rows, output);
        _kernels.PagedAttention((HostTensor)query, (HostKvCache)cache, layer, rows, (HostTensor)output);
    }

    /// <inheritdoc/>
    public override void SwiGlu(DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor output)
    {
        OperationChecks.Elementwise(gate, up, rows, output);
        _kernels.SwiGlu((HostTensor)gate, (HostTensor)up, rows, (HostTensor)output);
    }

    /// <inheritdoc/>
    public override void Add(DeviceTensor accumulator, DeviceTensor addend, int rows)
    {
        OperationChecks.Elementwise(accumulator, addend, rows, accumulator);
        _kernels.Add((HostTensor)accumulator, (HostTensor)addend, rows);
    }

    /// <inheritdoc/>
    public override void SelectLogitRows(DeviceTensor input, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = Rows(batch);
        OperationChecks.SelectLogitRows(input, rows, output);
        _kernels.SelectLogitRows((HostTensor)input, rows, (HostTensor)output);
    }

    /// <inheritdoc/>
    public override void ArgMax(DeviceTensor logits, int rows, Span<int> indices)
    {
        OperationChecks.ArgMax(logits, rows, indices);
        _kernels.ArgMax((HostTensor)logits, rows, indices);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _pool.Dispose();
            _kernels.Dispose();
        }

        base.Dispose(disposing);
    }

    private bool MaySpend(long bytes) => _repack switch
    {
        Repack.On => true,
        Repack.Off => false,
        _ => bytes <= HostMemory.Available - (HostMemory.Total / SpareFraction),
    };

    private static RaggedBatch Rows(DeviceBatch batch) => ((HostBatch)batch).Batch;
}
