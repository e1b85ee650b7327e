using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda.Graphs;
using Llama3Cluster.Kernels.Gpu.Kernels;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Gpu.Operations;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>
/// A GPU, through ILGPU on CUDA or OpenCL. Weights, activations and KV caches lie in its memory. Several devices may share one
/// <see cref="GpuContext"/>: slices on the same GPU, each with a stream of its own.
/// </summary>
public sealed partial class GpuDevice : ComputeDevice
{
    private readonly GpuContext _context;
    private readonly GpuQueue _queue;
    private readonly GpuOperations _operations;
    private readonly StepRecordings? _recordings;

    /// <summary>Opens a stream on a GPU. The context outlives the device.</summary>
    public GpuDevice(GpuContext context)
        : this(context, GpuOperations.For)
    {
    }

    /// <summary>A device with operations of the caller's choice.</summary>
    internal GpuDevice(GpuContext context, Func<GpuQueue, GpuOperations> operations)
    {
        _context = context;
        _queue = new GpuQueue(context);
        _operations = operations(_queue);
        _recordings = CudaGraphs.For(_queue) is { } graphs ? new StepRecordings(graphs, _queue) : null;
        _indices = new GpuBuffer(_queue, IndexBytes, "arg-max");
        _candidates = new GpuBuffer(_queue, CandidateBytes, "the likeliest tokens");
    }

    /// <inheritdoc/>
    public override string Name => _context.Description;

    /// <inheritdoc/>
    public override DeviceKind Kind => _context.Kind;

    /// <inheritdoc/>
    public override long MemoryBytes => _context.GrantedBytes;

    /// <inheritdoc/>
    public override WeightMatrix LoadMatrix(TensorData data, WeightUse use = WeightUse.LookupAndProduct) =>
        _operations.Linear.Load(_queue, data, use);

    /// <inheritdoc/>
    public override DeviceTensor LoadVector(TensorData data)
    {
        var values = new float[data.Columns];
        BlockCodec.Dequantize(data.Format, data.Row(0), values);
        var vector = new GpuTensor(_queue, 1, data.Columns);
        vector.Upload(values);
        return vector;
    }

    /// <inheritdoc/>
    public override DeviceTensor Allocate(int rows, int columns)
    {
        _operations.Linear.Reserve(_queue, rows, columns);
        return new GpuTensor(_queue, rows, columns);
    }

    /// <inheritdoc/>
    public override KvCache AllocateKv(KvShape shape) => new GpuKvCache(_queue, shape);

    /// <inheritdoc/>
    public override DeviceBatch AllocateBatch(int maxRows, int maxSequences, int maxBlocks) => new GpuBatch(_queue, maxRows, maxSequences, maxBlocks);

    /// <inheritdoc/>
    public override void Embed(WeightMatrix table, DeviceBatch batch, DeviceTensor output)
    {
        var (matrix, rows, target) = ((GpuMatrix)table, (GpuBatch)batch, (GpuTensor)output);
        OperationChecks.Embed(table, rows.Batch.Tokens.AsSpan(0, rows.RowCount), output);
        KernelEntry<EmbeddingArgs> entry = EmbeddingKernels.For(table.Format);
        var args = new EmbeddingArgs
        {
            Table = matrix.Planes,
            Tokens = rows.Tokens,
            Output = target.Fours,
            OutputStride = target.FourStride,
            Granules = matrix.Granules,
        };
        _queue.Launch(entry, new Index3D(Groups(matrix.Granules, entry), rows.RowCount, 1), args);
    }

    /// <inheritdoc/>
    public override void RmsNorm(DeviceTensor input, DeviceTensor gain, float epsilon, int rows, DeviceTensor output)
    {
        OperationChecks.RmsNorm(input, gain, rows, output);
        RowArgs args = RowsOf(input, gain, output) with { Epsilon = epsilon };
        _queue.Launch(RowKernels.RmsNorm, new Index3D(rows, 1, 1), args);
    }

    /// <inheritdoc/>
    public override void Linear(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor output) =>
        Linear([new LinearTarget(weights, output)], input, rows);

    /// <inheritdoc/>
    public override void Linear(ReadOnlySpan<LinearTarget> targets, DeviceTensor input, int rows)
    {
        foreach (ref readonly LinearTarget target in targets)
            OperationChecks.Linear(target.Weights, input, rows, target.Output);
        if (rows > 0)
            _operations.Linear.Run(_queue, targets, (GpuTensor)input, rows);
    }

    /// <inheritdoc/>
    public override void NormedLinear(
        DeviceTensor input, DeviceTensor gain, float epsilon, ReadOnlySpan<LinearTarget> targets, int rows, DeviceTensor normed)
    {
        OperationChecks.RmsNorm(input, gain, rows, normed);
        foreach (ref readonly LinearTarget target in targets)
            OperationChecks.Linear(target.Weights, input, rows, target.Output);
        var source = new LinearInput(LinearInputKind.Normed, (GpuTensor)input, (GpuTensor)gain, epsilon);
        if (!_operations.Linear.TryRun(_queue, source, targets, rows, adds: false))
            base.NormedLinear(input, gain, epsilon, targets, rows, normed);
    }

    /// <inheritdoc/>
    public override void LinearAdd(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor accumulator, DeviceTensor product)
    {
        OperationChecks.Linear(weights, input, rows, accumulator);
        var source = new LinearInput(LinearInputKind.Plain, (GpuTensor)input);
        if (!_operations.Linear.TryRun(_queue, source, [new LinearTarget(weights, accumulator)], rows, adds: true))
            base.LinearAdd(weights, input, rows, accumulator, product);
    }

    /// <inheritdoc/>
    public override void GatedLinearAdd(
        WeightMatrix weights, DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor accumulator, DeviceTensor product)
    {
        OperationChecks.Elementwise(gate, up, rows, gate);
        OperationChecks.Linear(weights, gate, rows, accumulator);
        var source = new LinearInput(LinearInputKind.Gated, (GpuTensor)gate, (GpuTensor)up);
        if (!_operations.Linear.TryRun(_queue, source, [new LinearTarget(weights, accumulator)], rows, adds: true))
            base.GatedLinearAdd(weights, gate, up, rows, accumulator, product);
    }

    /// <inheritdoc/>
    public override void RunStep(DeviceBatch batch, Action step)
    {
        if (_recordings is null || _operations.Attention.DependsOnContext || !_recordings.TryRun((GpuBatch)batch, step))
            step();
    }

    /// <inheritdoc/>
    public override void RopeAngles(DeviceTensor frequencies, DeviceBatch batch, DeviceTensor angles)
    {
        var (source, rows, target) = ((GpuTensor)frequencies, (GpuBatch)batch, (GpuTensor)angles);
        OperationChecks.RopeAngles(frequencies, rows.RowCount, angles);
        var args = new AngleArgs
        {
            Frequencies = source.Elements,
            FrequencyStride = source.Stride,
            Positions = rows.View().Positions,
            Angles = target.Elements,
            AngleStride = target.Stride,
            Half = source.Columns,
        };
        _queue.Launch(RotationKernels.Angles, new Index3D(Groups(source.Columns, RotationKernels.Angles), rows.RowCount, 1), args);
    }

    /// <inheritdoc/>
    public override void RopeAndAppendKv(
        DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor angles, RopePairing pairing,
        KvCache cache, int layer, DeviceBatch batch)
    {
        var rows = (GpuBatch)batch;
        KvShape shape = cache.Shape;
        OperationChecks.RopeAndAppendKv(query, key, value, angles, shape, layer, rows.Batch);
        var (q, k, v, a) = ((GpuTensor)query, (GpuTensor)key, (GpuTensor)value, (GpuTensor)angles);
        var rotation = new RotationArgs
        {
            Query = q.Elements,
            Key = k.Elements,
            Angles = a.Elements,
            QueryStride = q.Stride,
            KeyStride = k.Stride,
            AngleStride = a.Stride,
            Heads = query.Columns / shape.HeadDim,
            KvHeads = shape.KvHeads,
            Half = shape.HeadDim / 2,
            Halves = pairing == RopePairing.Halves ? 1 : 0,
        };
        int pairs = (query.Columns + key.Columns) / 2;
        _queue.Launch(RotationKernels.Rotate, new Index3D(Groups(pairs, RotationKernels.Rotate), rows.RowCount, 1), rotation);
        Append(k, v, (GpuKvCache)cache, layer, rows);
    }

    /// <inheritdoc/>
    public override void PagedAttention(DeviceTensor query, KvCache cache, int layer, DeviceBatch batch, DeviceTensor output)
    {
        var rows = (GpuBatch)batch;
        OperationChecks.PagedAttention(query, cache.Shape, layer, rows.Batch, output);
        _operations.Attention.Run(_queue, (GpuTensor)query, (GpuKvCache)cache, layer, rows, (GpuTensor)output);
    }

    /// <inheritdoc/>
    public override void SwiGlu(DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor output)
    {
        OperationChecks.Elementwise(gate, up, rows, output);
        LaunchRows(RowKernels.SwiGlu, RowsOf(gate, up, output), rows);
    }

    /// <inheritdoc/>
    public override void Add(DeviceTensor accumulator, DeviceTensor addend, int rows)
    {
        OperationChecks.Elementwise(accumulator, addend, rows, accumulator);
        LaunchRows(RowKernels.Add, RowsOf(addend, addend, accumulator), rows);
    }

    /// <inheritdoc/>
    public override void SelectLogitRows(DeviceTensor input, DeviceBatch batch, DeviceTensor output)
    {
        var rows = (GpuBatch)batch;
        OperationChecks.SelectLogitRows(input, rows.Batch, output);
        LaunchRows(RowKernels.Gather, RowsOf(input, input, output) with { Indices = rows.LogitRows }, rows.LogitRowCount);
    }

    /// <inheritdoc/>
    public override void Synchronize() => _queue.Synchronize();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _queue.Synchronize();
            _recordings?.Dispose();
            _indices.Dispose();
            _candidates.Dispose();
            _operations.Dispose();
            _queue.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Append(GpuTensor key, GpuTensor value, GpuKvCache cache, int layer, GpuBatch rows)
    {
        KvShape shape = cache.Shape;
        var args = new KvAppendArgs
        {
            Batch = rows.View(),
            Key = key.Elements,
            Value = value.Elements,
            KeyStride = key.Stride,
            ValueStride = value.Stride,
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            KvHeads = shape.KvHeads,
            HeadDim = shape.HeadDim,
            Chunks = cache.Chunks,
            HeadUnits = cache.HeadUnits,
            Format = (int)shape.Format,
        };
        bool quantized = shape.Format == KvFormat.Q8_0;
        KernelEntry<KvAppendArgs> entry = quantized ? KvAppendKernels.Quantized : KvAppendKernels.Plain;
        int items = 2 * shape.KvHeads * (quantized ? shape.HeadDim / KvShape.ScaleGroup : cache.Chunks);
        _queue.Launch(entry, new Index3D(Groups(items, entry), rows.RowCount, 1), args);
    }

    private void LaunchRows(KernelEntry<RowArgs> entry, RowArgs args, int rows) =>
        _queue.Launch(entry, new Index3D(Groups(args.Stride, entry), rows, 1), args);

    private static RowArgs RowsOf(DeviceTensor first, DeviceTensor second, DeviceTensor output)
    {
        var (a, b, c) = ((GpuTensor)first, (GpuTensor)second, (GpuTensor)output);
        return new RowArgs { First = a.Fours, Second = b.Fours, Output = c.Fours, Stride = a.FourStride, Columns = a.Columns };
    }

    private static int Groups(int items, KernelEntry entry) => (items + entry.Traits.GroupSize - 1) / entry.Traits.GroupSize;
}
