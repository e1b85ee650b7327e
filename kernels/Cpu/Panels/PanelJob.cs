using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>One of the matrices that a <see cref="PanelJob{TS,TV,TF,TT}"/> multiplies the same activations by.</summary>
internal unsafe struct PanelTarget
{
    /// <summary>The matrix in its file.</summary>
    public byte* Matrix;
    public long RowBytes;
    public int Outputs;

    /// <summary>All its panels, if they are kept; else each is filled when its turn comes.</summary>
    public byte* Panels;

    /// <summary>The results, <see cref="Outputs"/> apart.</summary>
    public float* Y;

    /// <summary>Panels of the targets before it.</summary>
    public int FirstPanel;
}

/// <summary>As many targets as a layer multiplies one input by: queries, keys and values.</summary>
[InlineArray(Length)]
internal struct PanelTargets
{
    public const int Length = 3;

    private PanelTarget _first;
}

/// <summary>
/// Products with quantized matrices; a chunk is a run of panels. With many rows the columns go in passes, so that the activations of a
/// pass stay in the second-level cache while the panels go by.
/// </summary>
internal unsafe struct PanelJob<TS, TV, TF, TT> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TF : struct, IPanelFormat
    where TT : struct, IPanelTile
{
    // A multiple of the largest tile.
    private const int MostRows = 256;
    private const int PassBytes = 512 * 1024;

    // Blocks of the longest span: a pass begins at a span's beginning.
    private const int PassGranularity = 8;

    public PanelTargets Targets;
    public int TargetCount;

    /// <summary>Blocks of a row.</summary>
    public int Blocks;
    public byte* X;
    public int Rows;

    /// <summary>A last factor for each row, or null.</summary>
    public float* RowScales;
    public int PanelsPerChunk;
    public int PanelCount;

    /// <summary>Room for a worker to fill a panel; null if every target keeps its panels.</summary>
    public byte* Scratches;

    /// <summary>Bytes that a worker needs to fill a panel.</summary>
    public readonly long ScratchBytes => PanelPacker<TF>.PanelBytes(PassBlocks);

    private readonly int PassBlocks => Math.Min(
        Blocks, Math.Max(1, PassBytes / (Math.Min(Rows, MostRows) * TT.ActivationBytes * PassGranularity)) * PassGranularity);

    private readonly long RowBytes => (long)Blocks * TT.ActivationBytes;

    public readonly void Run(int chunk, int worker)
    {
        int firstPanel = chunk * PanelsPerChunk, endPanel = Math.Min(firstPanel + PanelsPerChunk, PanelCount), passBlocks = PassBlocks;
        for (int row = 0; row < Rows; row += MostRows)
        {
            for (int block = 0; block < Blocks; block += passBlocks)
            {
                int target = 0;
                for (int panel = firstPanel; panel < endPanel; panel++)
                {
                    while (target + 1 < TargetCount && panel >= Targets[target + 1].FirstPanel)
                        target++;
                    Multiply(Targets[target], panel, block, Math.Min(passBlocks, Blocks - block), row, Math.Min(row + MostRows, Rows), worker);
                }
            }
        }
    }

    private readonly void Multiply(in PanelTarget target, int panel, int firstBlock, int blocks, int firstRow, int endRow, int worker)
    {
        panel -= target.FirstPanel;
        byte* span;
        if (target.Panels != null)
        {
            span = target.Panels + (panel * PanelPacker<TF>.PanelBytes(Blocks)) + PanelPacker<TF>.PanelBytes(firstBlock);
        }
        else
        {
            span = Scratches + (worker * ScratchBytes);
            PanelPacker<TF>.Pack(target.Matrix, target.RowBytes, target.Outputs, panel, firstBlock, blocks, span);
        }

        int outputs = Math.Min(Panel.Outputs, target.Outputs - (panel * Panel.Outputs));
        float* edge = stackalloc float[RowTile.Most * Panel.Outputs];
        for (int row = firstRow; row < endRow;)
        {
            int rows = RowTile.At(row, Rows).Rows;
            byte* x = X + (row * RowBytes) + (firstBlock * (long)rows * TT.ActivationBytes);
            float* y = target.Y + (row * (long)target.Outputs) + (panel * Panel.Outputs);
            if (outputs == Panel.Outputs)
            {
                Tile(rows, span, firstBlock, blocks, row, x, y, target.Outputs);
            }
            else
            {
                Copy(y, target.Outputs, edge, Panel.Outputs, rows, outputs);
                Tile(rows, span, firstBlock, blocks, row, x, edge, Panel.Outputs);
                Copy(edge, Panel.Outputs, y, target.Outputs, rows, outputs);
            }

            row += rows;
        }
    }

    private readonly void Tile(int rows, byte* span, int firstBlock, int blocks, int row, byte* x, float* y, long yStride)
    {
        bool resumes = firstBlock > 0;
        for (int lane = 0; lane < Panel.Outputs; lane += TS.Count)
        {
            switch (rows)
            {
                case 1:
                    TT.One(span, blocks, lane, x, y + lane, resumes);
                    break;
                case 2:
                    TT.Two(span, blocks, lane, x, y + lane, yStride, resumes);
                    break;
                case 4:
                    TT.Four(span, blocks, lane, x, y + lane, yStride, resumes);
                    break;
                default:
                    TT.Eight(span, blocks, lane, x, y + lane, yStride, resumes);
                    break;
            }
        }

        if (RowScales == null || firstBlock + blocks < Blocks)
            return;
        for (int r = 0; r < rows; r++, y += yStride)
        {
            TV scale = TS.Splat(RowScales[row + r]);
            for (int lane = 0; lane < Panel.Outputs; lane += TS.Count)
                TS.Store(y + lane, TS.Multiply(TS.Load(y + lane), scale));
        }
    }

    private static void Copy(float* from, long fromStride, float* to, long toStride, int rows, int outputs)
    {
        for (int r = 0; r < rows; r++)
            Unsafe.CopyBlockUnaligned(to + (r * toStride), from + (r * fromStride), (uint)(outputs * sizeof(float)));
    }
}

/// <summary>Fills all panels of a matrix; a chunk is a panel.</summary>
internal unsafe struct PackJob<TF> : IParallelJob
    where TF : struct, IPanelFormat
{
    public byte* Matrix;
    public long RowBytes;
    public int Outputs;
    public int Blocks;
    public byte* Panels;

    public readonly void Run(int chunk, int worker)
    {
        PanelPacker<TF>.Pack(Matrix, RowBytes, Outputs, chunk, 0, Blocks, Panels + (chunk * PanelPacker<TF>.PanelBytes(Blocks)));
    }
}
