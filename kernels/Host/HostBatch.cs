using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Host;

/// <summary>A batch for devices that read host memory: it only remembers which one is loaded.</summary>
public sealed class HostBatch : DeviceBatch
{
    private RaggedBatch? _batch;

    /// <summary>The loaded batch.</summary>
    /// <exception cref="InvalidOperationException">Nothing has been loaded.</exception>
    public RaggedBatch Batch => _batch ?? throw new InvalidOperationException("no batch has been loaded");

    /// <inheritdoc/>
    public override int RowCount => Batch.RowCount;

    /// <inheritdoc/>
    public override int LogitRowCount => Batch.LogitRowCount;

    /// <inheritdoc/>
    public override void Load(RaggedBatch batch) => _batch = batch;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _batch = null;
}
