using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Jobs;
using Llama3Cluster.Kernels.Cpu.Quantized;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Cuts a matrix product into chunks of outputs and holds the memory for it.</summary>
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
    private readonly Scratch _words = new();
    private readonly Scratch _scales = new();

    /// <summary>y = x weights^T with x [rows, columns] and y [rows, outputs].</summary>
    public void Run(TensorData weights, float* x, int rows, float* y)
    {
        if (rows == 0)
            return;
        int threads = (long)weights.Rows * weights.Columns * rows < LeastForkedProducts ? 1 : pool.Threads;
        int perChunk = RoundUp(weights.Rows, threads == 1 ? 1 : threads * ChunksPerThread);
        if (WordLinearJob<TS, TV>.Takes(weights.Format))
            RunInWords(weights, x, rows, y, perChunk);
        else
            RunInFloats(weights, x, rows, y, perChunk);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _padded.Dispose();
        _panels.Dispose();
        _words.Dispose();
        _scales.Dispose();
    }

    // Outputs of a chunk: whole tiles.
    private static int RoundUp(int outputs, int chunks)
    {
        int tiles = (outputs + DotTile<TS, TV>.Outputs - 1) / DotTile<TS, TV>.Outputs;
        return (tiles + chunks - 1) / chunks * DotTile<TS, TV>.Outputs;
    }

    private static int Chunks(TensorData weights, int perChunk) => (weights.Rows + perChunk - 1) / perChunk;

    private void RunInFloats(TensorData weights, float* x, int rows, float* y, int perChunk)
    {
        var job = new LinearJob<TS, TV>
        {
            Weights = weights,
            X = Pad(x, rows, weights.Columns),
            Rows = rows,
            Y = y,
            OutputsPerChunk = perChunk,
            Panels = _panels.Take(pool.Threads * LinearJob<TS, TV>.PanelBytes(weights.Columns)),
        };
        pool.Run(&job, Chunks(weights, perChunk));
    }

    private void RunInWords(TensorData weights, float* x, int rows, float* y, int perChunk)
    {
        var activations = new ActivationRows<TS, TV>
        {
            Source = x,
            Columns = weights.Columns,
            Words = (float*)_words.Take(rows * ActivationRows<TS, TV>.RowFloats(weights.Columns) * sizeof(float)),
            Scales = (float*)_scales.Take((long)rows * sizeof(float)),
        };
        pool.Run(&activations, rows);
        var job = new WordLinearJob<TS, TV>
        {
            Weights = weights,
            Words = activations.Words,
            Scales = activations.Scales,
            Rows = rows,
            Y = y,
            OutputsPerChunk = perChunk,
            Panels = _panels.Take(pool.Threads * WordLinearJob<TS, TV>.PanelBytes(weights.Columns)),
        };
        pool.Run(&job, Chunks(weights, perChunk));
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
