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
/// Products with weight matrices; a chunk is a run of panels. With several tiles of rows the columns go in passes, so that the weights
/// of a pass stay in the first-level cache while the rows go by, and its activations in the second-level cache while the panels do.
/// </summary>
internal unsafe struct PanelJob<TS, TV, TF, TT> : IParallelJob
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TF : struct, IPanelFormat
    where TT : struct, IPanelTile
{
    // A multiple of the largest tile.
    private const int MostRows = 256;
    private const int FirstLevelBytes = 24 * 1024, SecondLevelBytes = 512 * 1024;

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

    /// <summary>Whether every target keeps its panels.</summary>
    public bool KeepsAll;

    /// <summary>Room for a worker to fill a pass of a panel, and to expand it.</summary>
    public byte* Scratches;

    /// <summary>Bytes that a worker needs for that.</summary>
    public readonly long ScratchBytes => FillBytes + Scratch.RoundUp((long)PassBlocks * TT.ExpandedBlockBytes);

    private readonly long FillBytes => KeepsAll ? 0 : Scratch.RoundUp(PanelPacker<TF>.PanelBytes(PassBlocks));

    // The columns of a pass: all, if panels are read as they lie by one tile of rows; else so many that a panel's part and one tile of
    // activations stay in the first-level cache.
    private readonly int PassBlocks
    {
        get
        {
            if (KeepsAll && Rows <= TT.MostRows)
                return Blocks;
            int bytes = (TT.MostRows * TT.ActivationBytes) + Math.Max(TF.BlockCodeBytes, TT.ExpandedBlockBytes);
            return Math.Min(Blocks, Math.Max(FirstLevelBytes / bytes / PassGranularity, 1) * PassGranularity);
        }
    }

    private readonly long RowBytes => (long)Blocks * TT.ActivationBytes;

    public readonly void Run(int chunk, int worker)
    {
        int firstPanel = chunk * PanelsPerChunk, endPanel = Math.Min(firstPanel + PanelsPerChunk, PanelCount);
        for (int row = 0; row < Rows; row += MostRows)
        {
            int endRow = Math.Min(row + MostRows, Rows);
            if ((endRow - row) * RowBytes <= SecondLevelBytes)
            {
                // All activations stay near: every panel is read once, from end to end.
                for (int panel = firstPanel; panel < endPanel; panel++)
                {
                    for (int block = 0; block < Blocks; block += PassBlocks)
                        Multiply(panel, block, row, endRow, PanelPacker<TF>.PanelBytes(PassBlocks), worker);
                }
            }
            else
            {
                for (int block = 0; block < Blocks; block += PassBlocks)
                {
                    for (int panel = firstPanel; panel < endPanel; panel++)
                        Multiply(panel, block, row, endRow, PanelPacker<TF>.PanelBytes(Blocks), worker);
                }
            }
        }
    }

    // What is multiplied next lies so many bytes ahead, as a rule.
    private readonly void Multiply(int panel, int firstBlock, int firstRow, int endRow, long ahead, int worker)
    {
        int index = TargetCount - 1;
        while (panel < Targets[index].FirstPanel)
            index--;
        PanelTarget target = Targets[index];
        panel -= target.FirstPanel;
        int blocks = Math.Min(PassBlocks, Blocks - firstBlock);
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

        if (TT.ExpandedBlockBytes > 0)
        {
            byte* expanded = Scratches + (worker * ScratchBytes) + FillBytes;
            TT.Expand(span, blocks, ahead, expanded);
            span = expanded;
        }

        int outputs = Math.Min(Panel.Outputs, target.Outputs - (panel * Panel.Outputs));
        float* edge = stackalloc float[RowTile.Most * Panel.Outputs];
        for (int row = firstRow; row < endRow;)
        {
            int rows = RowTile.At(row, Rows, TT.MostRows).Rows;
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
                case 8:
                    TT.Eight(span, blocks, lane, x, y + lane, yStride, resumes);
                    break;
                default:
                    TT.Sixteen(span, blocks, lane, x, y + lane, yStride, resumes);
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
