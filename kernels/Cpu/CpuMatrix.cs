using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>A weight matrix in its mapped file and, if memory is spent on it, its panels.</summary>
internal sealed unsafe class CpuMatrix(TensorData data) : WeightMatrix(data.Format, data.Rows, data.Columns)
{
    private HugeMemory? _panels;

    /// <summary>The weights in the mapped file.</summary>
    public TensorData Data { get; } = data;

    /// <summary>All panels, or null.</summary>
    public byte* Panels => _panels is null ? null : _panels.Data;

    /// <inheritdoc/>
    public override long DeviceBytes => _panels?.Bytes ?? 0;

    /// <summary>Whether half-precision weights are known to be finite.</summary>
    public bool IsFiniteHalf { get; private set; }

    /// <summary>Rearranges the weights, with every thread of the pool.</summary>
    public void Pack(WorkerPool pool)
    {
        IsFiniteHalf = Format == WeightFormat.F16 && HalfScan.IsFinite(Data, pool);
        var panels = new HugeMemory(PanelFormats.BytesOf(Data));
        PanelFormats.Pack(Data, panels.Data, pool);
        _panels = panels;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _panels?.Dispose();
        _panels = null;
    }
}
