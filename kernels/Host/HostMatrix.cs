using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Host;

/// <summary>A weight matrix that is read where its file is mapped.</summary>
public sealed class HostMatrix(TensorData data) : WeightMatrix(data.Format, data.Rows, data.Columns)
{
    /// <summary>The weights in the mapped file.</summary>
    public TensorData Data { get; } = data;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // The mapped file owns the bytes.
    }
}
