using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Cuda.Products;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Graphs;

/// <summary>All that a step's launches depend on.</summary>
/// <param name="Step">Which slice's step it is.</param>
/// <param name="Batch">Whose tables it reads.</param>
/// <param name="Rows">Rows.</param>
/// <param name="LogitRows">Rows that want logits.</param>
/// <param name="Spans">Spans of the longest context, up to a power of two.</param>
internal readonly record struct StepShape(Action Step, DeviceBatch Batch, int Rows, int LogitRows, int Spans)
{
    /// <summary>
    /// A batch's shape, if it is one that recordings are made for: every row is a sequence's only one, so that attention's tiles are the rows,
    /// and there are few of them.
    /// </summary>
    public static StepShape? Of(GpuBatch batch, Action step) =>
        batch.RowCount is > 0 and <= DecodeProduct.MaxRows && batch.Batch.SequenceCount == batch.RowCount
            ? new StepShape(step, batch, batch.RowCount, batch.LogitRowCount, CudaPagedAttention.SpansFor(batch.LongestContext))
            : null;
}
