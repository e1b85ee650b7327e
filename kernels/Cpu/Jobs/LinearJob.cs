using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// A matrix product; a chunk is a run of outputs. One row of activations by plain weights reads the weights once, straight from the
/// file. Otherwise a few weight rows at a time are decoded to a panel of float32, which then serves every activation row.
/// </summary>
internal unsafe struct LinearJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Activations that stay in a core's second-level cache while panels pass by, and the fewest rows that repay decoding a panel.
    private const int BlockBytes = 256 * 1024;
    private const int LeastBlockRows = 16;

    public TensorData Weights;

    /// <summary>The activations, <see cref="PaddedColumns"/> apart, zero beyond the weights' columns.</summary>
    public float* X;
    public int Rows;
    public float* Y;
    public int OutputsPerChunk;
    public byte* Panels;

    /// <summary>Columns rounded up to whole vectors.</summary>
    public static int PaddedColumns(int columns) => (columns + TS.Count - 1) / TS.Count * TS.Count;

    /// <summary>Bytes of one worker's panel.</summary>
    public static long PanelBytes(int columns) => Scratch.RoundUp((long)DotTile<TS, TV>.Outputs * PaddedColumns(columns) * sizeof(float));

    public readonly void Run(int chunk, int worker)
    {
        int first = chunk * OutputsPerChunk, end = Math.Min(first + OutputsPerChunk, Weights.Rows);
        bool direct = Rows == 1 && PaddedColumns(Weights.Columns) == Weights.Columns;
        switch (Weights.Format)
        {
            case WeightFormat.F32 when direct:
                Direct<F32Loader>(first, end);
                break;
            case WeightFormat.F16 when direct:
                Direct<F16Loader>(first, end);
                break;
            case WeightFormat.BF16 when direct:
                Direct<Bf16Loader>(first, end);
                break;
            default:
                ByPanels(first, end, (float*)(Panels + (worker * PanelBytes(Weights.Columns))));
                break;
        }
    }

    private readonly void Direct<TL>(int first, int end)
        where TL : struct, IElementLoader
    {
        long stride = Weights.RowBytes;
        for (int o = first; o < end; o += DotTile<TS, TV>.Outputs)
        {
            DotTile<TS, TV>.OneRow<TL>(
                (byte*)Weights.Address + (o * stride), stride, Math.Min(DotTile<TS, TV>.Outputs, end - o), X, Weights.Columns, Y + o);
        }
    }

    private readonly void ByPanels(int first, int end, float* panel)
    {
        int padded = PaddedColumns(Weights.Columns);
        int blockRows = Math.Max(LeastBlockRows, BlockBytes / sizeof(float) / padded / DotTile<TS, TV>.Rows * DotTile<TS, TV>.Rows);
        for (int r = 0; r < Rows; r += blockRows)
        {
            for (int o = first; o < end; o += DotTile<TS, TV>.Outputs)
            {
                int outputs = Math.Min(DotTile<TS, TV>.Outputs, end - o);
                DecodePanel(o, outputs, panel, padded);
                MultiplyPanel(panel, padded, o, outputs, r, Math.Min(r + blockRows, Rows));
            }
        }
    }

    private readonly void DecodePanel(int firstOutput, int outputs, float* panel, int padded)
    {
        long stride = Weights.RowBytes;
        for (int o = 0; o < outputs; o++)
        {
            float* to = panel + (o * (long)padded);
            RowDecoder<TS, TV>.Decode(Weights.Format, (byte*)Weights.Address + ((firstOutput + o) * stride), Weights.Columns, to);
            Unsafe.InitBlockUnaligned(to + Weights.Columns, 0, (uint)((padded - Weights.Columns) * sizeof(float)));
        }
    }

    private readonly void MultiplyPanel(float* panel, int padded, int firstOutput, int outputs, int firstRow, int endRow)
    {
        for (int r = firstRow; r < endRow; r += DotTile<TS, TV>.Rows)
        {
            int rows = Math.Min(DotTile<TS, TV>.Rows, endRow - r);
            float* x = X + (r * (long)padded), y = Y + (r * (long)Weights.Rows) + firstOutput;
            if (rows == 1)
                DotTile<TS, TV>.OneRow<F32Loader>((byte*)panel, padded * (long)sizeof(float), outputs, x, padded, y);
            else
                DotTile<TS, TV>.FourRows(panel, padded, outputs, x, padded, rows, padded, y, Weights.Rows);
        }
    }
}
