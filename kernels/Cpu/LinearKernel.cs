using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Jobs;
using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Cuts matrix products into chunks of outputs and holds the memory for them.</summary>
internal sealed unsafe class LinearKernel<TS, TV>(WorkerPool pool) : IDisposable
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Chunks a thread: enough that a thread which loses its core for a while leaves little undone.
    private const int ChunksPerThread = 8;

    // Multiply-adds below which one thread is done before the others have begun.
    private const long LeastForkedProducts = 32 * 1024;

    private readonly Scratch _padded = new();
    private readonly Scratch _panels = new();
    private readonly Scratch _activations = new();
    private readonly Scratch _scales = new();

    /// <summary>y = x weights^T for each target, with x [rows, columns] and y [rows, outputs].</summary>
    public void Run(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
    {
        if (rows == 0)
            return;
        WeightFormat format = targets[0].Weights.Format;
        if (PanelFormats.Has(format) && targets.Length <= PanelTargets.Length && AllAre(targets, format))
        {
            RunInPanels(targets, x, rows);
            return;
        }

        foreach (ref readonly LinearTarget target in targets)
        {
            if (PanelFormats.Has(target.Weights.Format))
                RunInPanels(new ReadOnlySpan<LinearTarget>(in target), x, rows);
            else
                RunInFloats(((CpuMatrix)target.Weights).Data, x, rows, ((HostTensor)target.Output).Data);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _padded.Dispose();
        _panels.Dispose();
        _activations.Dispose();
        _scales.Dispose();
    }

    private static bool AllAre(ReadOnlySpan<LinearTarget> targets, WeightFormat format)
    {
        foreach (ref readonly LinearTarget target in targets)
        {
            if (target.Weights.Format != format)
                return false;
        }

        return true;
    }

    private int ChunksFor(long products) => products < LeastForkedProducts ? 1 : pool.Threads == 1 ? 1 : pool.Threads * ChunksPerThread;

    private void RunInFloats(TensorData weights, float* x, int rows, float* y)
    {
        int tiles = (weights.Rows + DotTile<TS, TV>.Outputs - 1) / DotTile<TS, TV>.Outputs;
        int chunks = ChunksFor((long)weights.Rows * weights.Columns * rows);
        int perChunk = (tiles + chunks - 1) / chunks * DotTile<TS, TV>.Outputs;
        var job = new LinearJob<TS, TV>
        {
            Weights = weights,
            X = Pad(x, rows, weights.Columns),
            Rows = rows,
            Y = y,
            OutputsPerChunk = perChunk,
            Panels = _panels.Take(pool.Threads * LinearJob<TS, TV>.PanelBytes(weights.Columns)),
        };
        pool.Run(&job, (weights.Rows + perChunk - 1) / perChunk);
    }

    private void RunInPanels(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
    {
        switch (targets[0].Weights.Format)
        {
            case WeightFormat.Q8_0:
                RunByWords(targets, x, rows);
                break;
            case WeightFormat.Q4_0:
                RunByBytes<PanelQ4>(targets, x, rows);
                break;
            case WeightFormat.Q4_K:
                RunByBytes<PanelQ4K>(targets, x, rows);
                break;
            case WeightFormat.Q5_K:
                RunByBytes<PanelQ5K>(targets, x, rows);
                break;
            case WeightFormat.Q6_K:
                RunByBytes<PanelQ6K>(targets, x, rows);
                break;
            default:
                throw PanelFormats.Unknown(targets[0].Weights.Format);
        }
    }

    private void RunByBytes<TF>(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
        where TF : struct, IBytePanelFormat
    {
        int columns = targets[0].Weights.Columns;
        var activations = new ByteActivations
        {
            Source = x,
            Columns = columns,
            RowCount = rows,
            Rows = _activations.Take(rows * ByteActivations.RowBytes(columns)),
            SumFactor = TF.SumFactor,
            IsPerHalf = TF.IsPerHalf,
        };
        pool.Run(&activations, rows);
        RunTiles<TF, ByteTile<TS, TV, TF>>(targets, activations.Rows, null, rows);
    }

    private void RunByWords(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
    {
        int columns = targets[0].Weights.Columns;
        var activations = new WordActivations
        {
            Source = x,
            Columns = columns,
            RowCount = rows,
            Rows = _activations.Take(rows * WordActivations.RowBytes(columns)),
            Scales = (float*)_scales.Take((long)rows * sizeof(float)),
        };
        pool.Run(&activations, rows);
        RunTiles<PanelQ8, WordTile<TS, TV>>(targets, activations.Rows, activations.Scales, rows);
    }

    private void RunTiles<TF, TT>(ReadOnlySpan<LinearTarget> targets, byte* activations, float* rowScales, int rows)
        where TF : struct, IPanelFormat
        where TT : struct, IPanelTile
    {
        var job = new PanelJob<TS, TV, TF, TT>
        {
            TargetCount = targets.Length,
            Blocks = targets[0].Weights.Columns / Panel.BlockColumns,
            X = activations,
            Rows = rows,
            RowScales = rowScales,
        };
        bool keepsAll = true;
        for (int i = 0; i < targets.Length; i++)
        {
            var matrix = (CpuMatrix)targets[i].Weights;
            job.Targets[i] = new PanelTarget
            {
                Matrix = (byte*)matrix.Data.Address,
                RowBytes = matrix.Data.RowBytes,
                Outputs = matrix.Rows,
                Panels = matrix.Panels,
                Y = ((HostTensor)targets[i].Output).Data,
                FirstPanel = job.PanelCount,
            };
            job.PanelCount += Panel.CountOf(matrix.Rows);
            keepsAll &= matrix.Panels != null;
        }

        int chunks = ChunksFor((long)job.PanelCount * Panel.Outputs * targets[0].Weights.Columns * rows);
        job.PanelsPerChunk = (job.PanelCount + chunks - 1) / chunks;
        job.Scratches = keepsAll ? null : _panels.Take(pool.Threads * job.ScratchBytes);
        pool.Run(&job, (job.PanelCount + job.PanelsPerChunk - 1) / job.PanelsPerChunk);
    }

    private float* Pad(float* x, int rows, int columns)
    {
        int padded = LinearJob<TS, TV>.PaddedColumns(columns);
        if (padded == columns)
            return x;
        var copy = (float*)_padded.Take((long)rows * padded * sizeof(float));
        for (int r = 0; r < rows; r++)
        {
            float* row = copy + (r * (long)padded);
            Unsafe.CopyBlockUnaligned(row, x + (r * (long)columns), (uint)(columns * sizeof(float)));
            Unsafe.InitBlockUnaligned(row + columns, 0, (uint)((padded - columns) * sizeof(float)));
        }

        return copy;
    }
}
