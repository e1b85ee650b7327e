using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Kernels;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu;

/// <content>What comes back of the logits.</content>
public sealed partial class GpuDevice
{
    /// <summary>Bytes for the results of arg-max over 8,192 rows; more make them grow.</summary>
    internal const long IndexBytes = 8192 * sizeof(int);

    /// <summary>Bytes for the results of top candidates.</summary>
    internal const long CandidateBytes = CandidateRows * Candidate.Most * 2 * sizeof(int);

    // So many rows at one time.
    private const int CandidateRows = 256;

    private readonly GpuBuffer _candidates;
    private GpuBuffer _indices;

    /// <inheritdoc/>
    public override void ArgMax(DeviceTensor logits, int rows, Span<int> indices)
    {
        OperationChecks.ArgMax(logits, rows, indices);
        if (_indices.Bytes < rows * sizeof(int))
        {
            _queue.Synchronize();
            _indices.Dispose();
            _indices = new GpuBuffer(_queue, rows * sizeof(int), "arg-max");
        }

        RowArgs args = RowsOf(logits, logits, logits) with { Indices = _indices.View<int>() };
        _queue.Launch(RowKernels.ArgMax, new Index3D(rows, 1, 1), args);
        _queue.Download(_indices, 0, indices[..rows]);
    }

    /// <inheritdoc/>
    public override void TopCandidates(DeviceTensor logits, int rows, int count, Span<Candidate> best)
    {
        OperationChecks.TopCandidates(logits, rows, count, best);
        var source = (GpuTensor)logits;
        for (int first = 0; first < rows; first += CandidateRows)
        {
            int some = Math.Min(CandidateRows, rows - first);
            var args = new CandidateArgs
            {
                Logits = source.Elements,
                Stride = source.Stride,
                Columns = source.Columns,
                Count = count,
                FirstRow = first,
                Best = _candidates.View<U2>(),
            };
            _queue.Launch(CandidateKernel.Entry, new Index3D(some, 1, 1), args);
            _queue.Download(_candidates, 0, best.Slice(first * count, some * count));
        }
    }
}
