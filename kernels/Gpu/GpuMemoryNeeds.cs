using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Gpu.Operations;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>Bytes that things take in a GPU's memory, before anything is allocated: what a plan reckons with.</summary>
public static class GpuMemoryNeeds
{
    private const long Page = 2L << 20;

    /// <summary>What one allocation takes: drivers deal memory out in pieces. CUDA gives larger ones whole pages of 2 MiB.</summary>
    public static long Allocation(DeviceKind kind, long bytes)
    {
        long aligned = GpuBuffer.Aligned(bytes);
        return kind == DeviceKind.OpenCl || aligned <= Page / 2 ? aligned : checked((aligned + Page - 1) / Page * Page);
    }

    /// <summary>A weight matrix: once, or twice where tensor cores and the look-up of rows want it in an arrangement of their own.</summary>
    public static long Matrix(DeviceKind kind, WeightFormat format, int rows, int columns, WeightUse use)
    {
        (bool planes, bool tiles) = kind == DeviceKind.CudaTensorCores ? CudaLinear.ArrangementsFor(format, columns, use) : (true, false);
        (long quants, long scales) = GpuMatrix.PlaneBytes(format, rows, columns);
        return (planes ? Allocation(kind, quants) + Allocation(kind, scales) : 0)
            + (tiles ? Allocation(kind, TileLayout.ByteCount(format, rows, columns)) : 0);
    }

    /// <summary>A float32 tensor.</summary>
    public static long Tensor(DeviceKind kind, int rows, int columns) => Allocation(kind, GpuTensor.BytesOf(rows, columns));

    /// <summary>Keys and values of one block of a cache of that shape, over all its layers, without what dealing out in pieces adds.</summary>
    public static long KvBytesPerBlock(KvShape shape) => 2L * shape.Layers * GpuKvCache.LayerBytes(shape with { Blocks = 1 });

    /// <summary>The most that dealing out in pieces adds to a layer's keys and values.</summary>
    public static long KvRounding(DeviceKind kind) => 2 * (kind == DeviceKind.OpenCl ? GpuBuffer.Aligned(1) : Page);

    /// <summary>A batch's tables.</summary>
    public static long Batch(DeviceKind kind, int maxRows, int maxSequences, int maxBlocks) =>
        Allocation(kind, GpuBatch.BytesOf(maxRows, maxSequences, maxBlocks));

    /// <summary>What a device takes by itself, for tensors of at most these shapes: states of attention, activations for tensor cores, results.</summary>
    public static long Device(DeviceKind kind, ReadOnlySpan<(int Rows, int Columns)> tensors)
    {
        long bytes = Allocation(kind, PortableAttention.PartialBytes) + Allocation(kind, GpuDevice.IndexBytes) + Allocation(kind, GpuDevice.CandidateBytes);
        if (kind != DeviceKind.CudaTensorCores)
            return bytes;
        long activations = 0, scales = 0;
        foreach ((int rows, int columns) in tensors)
        {
            (long ofActivations, long ofScales) = CudaLinear.InputBytes(rows, columns);
            (activations, scales) = (Math.Max(activations, ofActivations), Math.Max(scales, ofScales));
        }

        return bytes + Allocation(kind, CudaPagedAttention.PartialBytes) + Allocation(kind, activations) + Allocation(kind, scales);
    }
}
