using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Panels;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Cuts matrix products into chunks of outputs and holds the memory for them.</summary>
/// <param name="pool">The threads.</param>
/// <param name="emits">Whether the tiles are machine code of our own; the vectors have 512 bits then.</param>
internal sealed unsafe class LinearKernel<TS, TV>(WorkerPool pool, bool emits) : IDisposable
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Chunks a thread: enough that none waits long for another's last one, or for a thread that loses its core for a while; but no
    // smaller than it takes to draw from memory at full speed.
    private const int LeastChunksPerThread = 8, MostChunksPerThread = 24, LeastChunkBytes = 128 * 1024;

    // Multiply-adds below which one thread is done before the others have begun.
    private const long LeastForkedProducts = 32 * 1024;

    // Rows that repay widening a panel of half-precision weights beforehand. Widening bfloat16 costs next to nothing.
    private const int LeastExpandedRows = 33;

    private readonly Scratch _panels = new();
    private readonly Scratch _activations = new();
    private readonly Scratch _scales = new();

    /// <summary>y = x weights^T for each target, with x [rows, columns] and y [rows, outputs].</summary>
    public void Run(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
    {
        if (rows == 0)
            return;
        if (targets.Length <= PanelTargets.Length && AllAre(targets, targets[0].Weights.Format))
        {
            RunTogether(targets, x, rows);
            return;
        }

        foreach (ref readonly LinearTarget target in targets)
            RunTogether(new ReadOnlySpan<LinearTarget>(in target), x, rows);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
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

    private static bool AreFiniteHalves(ReadOnlySpan<LinearTarget> targets)
    {
        foreach (ref readonly LinearTarget target in targets)
        {
            if (!((CpuMatrix)target.Weights).IsFiniteHalf)
                return false;
        }

        return true;
    }

    private int ChunksFor(long products, long bytes)
    {
        if (products < LeastForkedProducts || pool.Threads == 1)
            return 1;
        long chunksOfThread = bytes / pool.Threads / LeastChunkBytes;
        return pool.Threads * (int)Math.Clamp(chunksOfThread, LeastChunksPerThread, MostChunksPerThread);
    }

    private void RunTogether(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
    {
        switch (targets[0].Weights.Format)
        {
            case WeightFormat.F32:
                RunByFloats<F32Loader>(targets, x, rows, expands: false);
                break;
            case WeightFormat.F16 when !emits && AreFiniteHalves(targets):
                RunByFloats<FiniteHalfLoader>(targets, x, rows, rows >= LeastExpandedRows);
                break;
            case WeightFormat.F16:
                RunByFloats<F16Loader>(targets, x, rows, rows >= LeastExpandedRows);
                break;
            case WeightFormat.BF16:
                RunByFloats<Bf16Loader>(targets, x, rows, expands: false);
                break;
            case WeightFormat.Q8_0:
                if (emits)
                    RunByWords<EmittedTile<EmittedWords>>(targets, x, rows);
                else
                    RunByWords<WordTile<TS, TV>>(targets, x, rows);
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

    private void RunByFloats<TL>(ReadOnlySpan<LinearTarget> targets, float* x, int rows, bool expands)
        where TL : struct, IElementLoader
    {
        if (emits)
            RunByFloats<TL, EmittedTile<EmittedFloats<TL>>>(targets, x, rows);
        else if (expands)
            RunByFloats<TL, ExpandedTile<TS, TV, TL>>(targets, x, rows);
        else
            RunByFloats<TL, FloatTile<TS, TV, TL>>(targets, x, rows);
    }

    private void RunByFloats<TL, TT>(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
        where TL : struct, IElementLoader
        where TT : struct, IPanelTile
    {
        int columns = targets[0].Weights.Columns;
        var activations = new FloatActivations
        {
            Source = x,
            Columns = columns,
            RowCount = rows,
            TileRows = TT.MostRows,
            Rows = _activations.Take(rows * FloatActivations.RowBytes(columns)),
        };
        pool.Run(&activations, rows);
        RunTiles<PanelPlain<TL>, TT>(targets, activations.Rows, null, rows);
    }

    private void RunByBytes<TF>(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
        where TF : struct, IBytePanelFormat
    {
        if (emits)
            RunByBytes<TF, EmittedTile<EmittedBytes<TF>>>(targets, x, rows);
        else
            RunByBytes<TF, ByteTile<TS, TV, TF>>(targets, x, rows);
    }

    private void RunByBytes<TF, TT>(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
        where TF : struct, IBytePanelFormat
        where TT : struct, IPanelTile
    {
        int columns = targets[0].Weights.Columns;
        var activations = new ByteActivations
        {
            Source = x,
            Columns = columns,
            RowCount = rows,
            TileRows = TT.MostRows,
            Rows = _activations.Take(rows * ByteActivations.RowBytes(columns)),
            SumFactor = TF.SumFactor,
            IsPerHalf = TF.IsPerHalf,
        };
        pool.Run(&activations, rows);
        RunTiles<TF, TT>(targets, activations.Rows, null, rows);
    }

    private void RunByWords<TT>(ReadOnlySpan<LinearTarget> targets, float* x, int rows)
        where TT : struct, IPanelTile
    {
        int columns = targets[0].Weights.Columns;
        var activations = new WordActivations
        {
            Source = x,
            Columns = columns,
            RowCount = rows,
            TileRows = TT.MostRows,
            Rows = _activations.Take(rows * WordActivations.RowBytes(columns)),
            Scales = (float*)_scales.Take((long)rows * sizeof(float)),
        };
        pool.Run(&activations, rows);
        RunTiles<PanelQ8, TT>(targets, activations.Rows, activations.Scales, rows);
    }

    private void RunTiles<TF, TT>(ReadOnlySpan<LinearTarget> targets, byte* activations, float* rowScales, int rows)
        where TF : struct, IPanelFormat
        where TT : struct, IPanelTile
    {
        var job = new PanelJob<TS, TV, TF, TT>
        {
            TargetCount = targets.Length,
            Blocks = Panel.BlocksOf(targets[0].Weights.Columns),
            X = activations,
            Rows = rows,
            RowScales = rowScales,
        };
        job.KeepsAll = true;
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
            job.KeepsAll &= matrix.Panels != null;
        }

        int chunks = ChunksFor(
            (long)job.PanelCount * Panel.Outputs * targets[0].Weights.Columns * rows, job.PanelCount * PanelPacker<TF>.PanelBytes(job.Blocks));
        job.PanelsPerChunk = (job.PanelCount + chunks - 1) / chunks;
        job.Scratches = _panels.Take(pool.Threads * job.ScratchBytes);
        pool.Run(&job, (job.PanelCount + job.PanelsPerChunk - 1) / job.PanelsPerChunk);
    }
}
