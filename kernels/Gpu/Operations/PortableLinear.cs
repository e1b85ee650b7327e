using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Kernels;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Operations;

/// <summary>Launches <see cref="LinearKernel{TFormat, TRows}"/>: matrices of one format that follow each other share a launch.</summary>
internal sealed class PortableLinear : ILinearOperation
{
    private const int PartsPerLaunch = 3;

    /// <inheritdoc/>
    public GpuMatrix Load(GpuQueue queue, TensorData data, WeightUse use) => new(queue, data);

    /// <inheritdoc/>
    public void Reserve(GpuQueue queue, int rows, int columns)
    {
    }

    /// <inheritdoc/>
    public bool TryRun(GpuQueue queue, LinearInput input, ReadOnlySpan<LinearTarget> targets, int rows, bool adds) => false;

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <inheritdoc/>
    public void Run(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, GpuTensor input, int rows)
    {
        while (!targets.IsEmpty)
        {
            int count = 1;
            while (count < Math.Min(PartsPerLaunch, targets.Length) && targets[count].Weights.Format == targets[0].Weights.Format)
                count++;
            Launch(queue, targets[..count], input, rows);
            targets = targets[count..];
        }
    }

    private static void Launch(GpuQueue queue, ReadOnlySpan<LinearTarget> targets, GpuTensor input, int rows)
    {
        (KernelEntry<LinearArgs> entry, int height) = LinearKernels.For(targets[0].Weights.Format, rows);
        int tiles = 0;
        var args = new LinearArgs
        {
            First = Part(targets, 0, ref tiles),
            Second = Part(targets, 1, ref tiles),
            Third = Part(targets, 2, ref tiles),
            Input = input.Fours,
            InputStride = input.FourStride,
            Rows = rows,
            Granules = ((GpuMatrix)targets[0].Weights).Granules,
        };
        queue.Launch(entry, new Index3D((rows + height - 1) / height, tiles, 1), args);
    }

    // A part that there is not begins after every tile.
    private static LinearPart Part(ReadOnlySpan<LinearTarget> targets, int index, ref int tiles)
    {
        bool exists = index < targets.Length;
        LinearTarget target = targets[exists ? index : 0];
        var output = (GpuTensor)target.Output;
        int first = exists ? tiles : int.MaxValue;
        if (exists)
            tiles += (target.Weights.Rows + LinearKernels.OutputsPerGroup - 1) / LinearKernels.OutputsPerGroup;
        return new LinearPart
        {
            Weights = ((GpuMatrix)target.Weights).Planes,
            Output = output.Elements,
            OutputStride = output.Stride,
            Outputs = target.Weights.Rows,
            FirstTile = first,
        };
    }
}
