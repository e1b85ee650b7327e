using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>
/// A product with quantized weights in whole numbers; a chunk is a run of outputs. One or two activation rows take the weights straight from the
/// file; for more, a few weight rows at a time are unpacked to a panel of words, which then serves every activation row.
/// </summary>
internal unsafe struct WordLinearJob<TS, TV> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Activations that stay in a core's second-level cache while panels pass by, and the fewest rows that repay unpacking a panel.
    private const int BlockBytes = 256 * 1024;
    private const int LeastBlockRows = 16;

    // The rows that a weight row can serve without a panel; for three or four a panel costs about the same as two such passes.
    private const int DirectRows = 2;

    public TensorData Weights;

    /// <summary>The activations' words and scales, from <see cref="ActivationRows{TS,TV}"/>.</summary>
    public float* Words;
    public float* Scales;
    public int Rows;
    public float* Y;
    public int OutputsPerChunk;
    public byte* Panels;

    /// <summary>Whether a format's products go this way.</summary>
    public static bool Takes(WeightFormat format) => format.ElementsPerBlock() > 1;

    /// <summary>Bytes of one worker's panel.</summary>
    public static long PanelBytes(int columns) => Scratch.RoundUp(WordTile<TS, TV>.Outputs * PanelFloats(columns) * sizeof(float));

    /// <inheritdoc/>
    public readonly void Run(int chunk, int worker)
    {
        int first = chunk * OutputsPerChunk, end = Math.Min(first + OutputsPerChunk, Weights.Rows);
        switch (Weights.Format)
        {
            case WeightFormat.Q8_0:
                Multiply<Q8Loader>(first, end, worker);
                break;
            case WeightFormat.Q4_0:
                Multiply<Q4Loader>(first, end, worker);
                break;
            case WeightFormat.Q4_K:
                Multiply<Q4KLoader>(first, end, worker);
                break;
            case WeightFormat.Q5_K:
                Multiply<Q5KLoader>(first, end, worker);
                break;
            case WeightFormat.Q6_K:
                Multiply<Q6KLoader>(first, end, worker);
                break;
            default:
                throw new NotSupportedException($"weights of format {Weights.Format} have no products in whole numbers");
        }
    }

    private static long PanelFloats(int columns) => (long)WordGroup<TS, TV>.GroupsOf(columns) * WordGroup<TS, TV>.PanelFloats;

    private readonly void Multiply<TL>(int first, int end, int worker)
        where TL : struct, IWordLoader
    {
        if (Weights.Columns % WordGroup<TS, TV>.Columns == 0 && Rows <= DirectRows)
            Direct<TL>(first, end);
        else
            ByPanels<TL>(first, end, (float*)(Panels + (worker * PanelBytes(Weights.Columns))));
    }

    private readonly void Direct<TL>(int first, int end)
        where TL : struct, IWordLoader
    {
        int groups = WordGroup<TS, TV>.GroupsOf(Weights.Columns);
        long stride = Weights.RowBytes;
        byte* weights = (byte*)Weights.Address + (first * stride);
        if (Rows == 1)
        {
            WordTile<TS, TV>.OneRow<TL>(weights, stride, end - first, Words, Scales[0], groups, Y + first);
        }
        else
        {
            WordTile<TS, TV>.TwoRows<TL>(
                weights, stride, end - first, Words, ActivationRows<TS, TV>.RowFloats(Weights.Columns), Scales, groups, Y + first, Weights.Rows);
        }
    }

    private readonly void ByPanels<TL>(int first, int end, float* panel)
        where TL : struct, IWordLoader
    {
        int columns = Weights.Columns, groups = WordGroup<TS, TV>.GroupsOf(columns);
        long stride = Weights.RowBytes, panelStride = PanelFloats(columns), xStride = ActivationRows<TS, TV>.RowFloats(columns);
        int blockRows = (int)Math.Max(LeastBlockRows, BlockBytes / sizeof(float) / xStride / WordTile<TS, TV>.Rows * WordTile<TS, TV>.Rows);
        for (int r = 0; r < Rows; r += blockRows)
        {
            int endRow = Math.Min(r + blockRows, Rows);
            for (int o = first; o < end; o += WordTile<TS, TV>.Outputs)
            {
                int outputs = Math.Min(WordTile<TS, TV>.Outputs, end - o);
                for (int i = 0; i < outputs; i++)
                    WordTile<TS, TV>.Unpack<TL>((byte*)Weights.Address + ((o + i) * stride), columns, panel + (i * panelStride));
                for (int row = r; row < endRow; row += WordTile<TS, TV>.Rows)
                {
                    WordTile<TS, TV>.FourRows<PanelLoader<TL>>(
                        (byte*)panel, panelStride * sizeof(float), outputs, Words + (row * xStride), xStride, Scales + row,
                        Math.Min(WordTile<TS, TV>.Rows, endRow - row), groups, Y + (row * (long)Weights.Rows) + o, Weights.Rows);
                }
            }
        }
    }
}
