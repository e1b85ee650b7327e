using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda.Products;
using Llama3Cluster.Kernels.Gpu.Cuda.Rows;
using Llama3Cluster.Kernels.Gpu.Cuda.Weights;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Gpu.Operations;

namespace Llama3Cluster.Kernels.Gpu.Cuda;

/// <summary>
/// Products on tensor cores: a kernel that makes the input ready (with the norm, or the gate), then one for up to three matrices at a time.
/// Weights that cannot be laid out in tiles are left to the portable kernels.
/// </summary>
internal sealed class CudaLinear(ILinearOperation portable) : ILinearOperation
{
    private const int TargetsPerLaunch = 3;

    // Wider tensors are logits: no product's input.
    private const int WidestInput = 1 << 16;

    private GpuBuffer? _activations;
    private GpuBuffer? _rowScales;

    /// <summary>Whether there are kernels for products with such a matrix.</summary>
    public static bool Takes(WeightFormat format, int columns) => TileLayout.Fits(format, columns) && columns <= WidestInput;

    /// <summary>How a matrix is kept: in planes for other kernels, in tiles for products.</summary>
    public static (bool Planes, bool Tiles) ArrangementsFor(WeightFormat format, int columns, WeightUse use)
    {
        bool tiles = use.HasFlag(WeightUse.Product) && Takes(format, columns);
        return (!tiles || use.HasFlag(WeightUse.Lookup), tiles);
    }

    /// <summary>Bytes that are reserved for inputs of this shape: activations in 16 bits, and their scales.</summary>
    public static (long Activations, long Scales) InputBytes(int rows, int columns) =>
        columns % TileLayout.Columns == 0 && columns <= WidestInput ? (ActivationLayout.ByteCount(rows, columns), (long)rows * sizeof(float)) : (0, 0);

    /// <inheritdoc/>
    public GpuMatrix Load(GpuQueue queue, TensorData data, WeightUse use)
    {
        (bool planes, bool tiles) = ArrangementsFor(data.Format, data.Columns, use);
        return new GpuMatrix(queue, data, planes, tiles);
    }

    /// <inheritdoc/>
    public void Reserve(GpuQueue queue, int rows, int columns)
    {
        (long activations, long scales) = InputBytes(rows, columns);
        if (activations == 0)
            return;
        Grow(queue, ref _activations, activations, "activations for tensor cores");
        Grow(queue, ref _rowScales, scales, "the scales of activations");
    }

    /// <inheritdoc/>
    public void Run(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, GpuTensor input, int rows)
    {
        if (TryRun(queue, new LinearInput(LinearInputKind.Plain, input), targets, rows, adds: false))
            return;
        foreach (ref readonly LinearTarget target in targets)
        {
            var one = new ReadOnlySpan<LinearTarget>(in target);
            if (!TryRun(queue, new LinearInput(LinearInputKind.Plain, input), one, rows, adds: false))
                portable.Run(queue, one, input, rows);
        }
    }

    /// <inheritdoc/>
    public bool TryRun(GpuQueue queue, LinearInput input, ReadOnlySpan<LinearTarget> targets, int rows, bool adds)
    {
        foreach (ref readonly LinearTarget target in targets)
        {
            if (!((GpuMatrix)target.Weights).IsTiled)
                return false;
        }

        if (rows == 0)
            return true;
        Reserve(queue, rows, input.Tensor.Columns);
        bool? prepared = null;
        while (!targets.IsEmpty)
        {
            WeightFormat format = targets[0].Weights.Format;
            int count = 1;
            while (count < Math.Min(TargetsPerLaunch, targets.Length) && targets[count].Weights.Format == format)
                count++;
            bool bf16 = format == WeightFormat.BF16;
            if (prepared != bf16)
                Prepare(queue, input, rows, bf16);
            prepared = bf16;
            Multiply(queue, targets[..count], input.Tensor.Columns, rows, adds);
            targets = targets[count..];
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _activations?.Dispose();
        _rowScales?.Dispose();
        portable.Dispose();
    }

    private void Prepare(GpuQueue queue, LinearInput input, int rows, bool bf16)
    {
        var args = new RowParameters
        {
            Input = input.Tensor.Buffer.Address,
            Partner = input.Partner?.Buffer.Address ?? 0,
            Activations = _activations!.Address,
            RowScales = _rowScales!.Address,
            Columns = input.Tensor.Columns,
            Epsilon = input.Epsilon,
        };
        queue.Launch(CudaKernels.Rows(input.Kind, bf16), new Index3D(rows, 1, 1), args);
    }

    private void Multiply(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, int columns, int rows, bool adds)
    {
        KernelEntry<ProductParameters> kernel = CudaKernels.Product(targets[0].Weights.Format, rows);
        bool prefill = rows > DecodeProduct.MaxRows;
        int outputsPerGroup = prefill ? PrefillProduct.Outputs : TileLayout.Rows, groups = 0;
        var args = new ProductParameters
        {
            First = Target(targets, 0, outputsPerGroup, adds, ref groups),
            Second = Target(targets, 1, outputsPerGroup, adds, ref groups),
            Third = Target(targets, 2, outputsPerGroup, adds, ref groups),
            Activations = _activations!.Address,
            RowScales = _rowScales!.Address,
            Rows = rows,
            Tiles = columns / TileLayout.Columns,
            TilesPerPart = TileLayout.TilesPerPart(columns),
            Targets = targets.Length,
        };
        int rowGroups = (rows + ActivationLayout.PaddedRows - 1) / ActivationLayout.PaddedRows;
        queue.Launch(kernel, prefill ? new Index3D(rowGroups, groups, 1) : new Index3D(groups, 1, 1), args);
    }

    private static ProductTarget Target(ReadOnlySpan<LinearTarget> targets, int index, int outputsPerGroup, bool adds, ref int groups)
    {
        if (index >= targets.Length)
            return default;
        var output = (GpuTensor)targets[index].Output;
        var target = new ProductTarget
        {
            Weights = ((GpuMatrix)targets[index].Weights).Tiles,
            Output = output.Buffer.Address,
            Addend = adds ? output.Buffer.Address : 0,
            Stride = output.Stride,
            Outputs = output.Columns,
            FirstGroup = groups,
        };
        groups += (target.Outputs + outputsPerGroup - 1) / outputsPerGroup;
        return target;
    }

    private static void Grow(GpuQueue queue, ref GpuBuffer? buffer, long bytes, string purpose)
    {
        if (buffer is not null && buffer.Bytes >= bytes)
            return;
        if (buffer is not null)
        {
            queue.Synchronize();
            queue.CountReplacedBuffer();
            buffer.Dispose();
            buffer = null;
        }

        buffer = new GpuBuffer(queue, bytes, purpose);
    }
}
