using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Rows of one sequence that go through attention together.</summary>
/// <param name="Sequence">The sequence.</param>
/// <param name="FirstRow">Its first row in the batch.</param>
/// <param name="Rows">How many rows.</param>
/// <param name="FirstPosition">The position of the first row; the others follow.</param>
internal readonly record struct AttentionTile(int Sequence, int FirstRow, int Rows, int FirstPosition)
{
    // What loading a position costs beside one row's arithmetic with it.
    private const int LoadingRows = 2;

    /// <summary>Positions that the last row sees.</summary>
    public int Positions => FirstPosition + Rows;

    /// <summary>Spans that the last row sees.</summary>
    public int Spans => AttentionPlan.SpanOf(Positions - 1) + 1;

    /// <summary>An estimate of the time that the tile takes.</summary>
    public long Cost => (long)Positions * (Rows + LoadingRows);
}

/// <summary>What the attention jobs know of their operation.</summary>
internal unsafe struct AttentionPlan
{
    /// <summary>
    /// Positions of a span. Every query gathers each span from nothing and merges the spans in order, whether one thread does them all or
    /// several share them: the split depends on positions alone, so the result does too.
    /// </summary>
    public const int SpanPositions = 512;

    /// <summary>Positions whose weights are computed together: a divisor of a span, so that this split, too, is one of positions.</summary>
    public const int StepPositions = 64;

    public float* Query;
    public float* Output;
    public int Heads;
    public int KvHeads;
    public int HeadDim;

    /// <summary>The head dim rounded up to whole steps of a panel.</summary>
    public int PaddedHeadDim;
    public KvView Kv;
    public BatchSequence* Sequences;
    public int* Blocks;
    public AttentionTile* Tiles;

    /// <summary>Rows of the largest tile.</summary>
    public int LargestTile;

    public readonly int Group => Heads / KvHeads;

    /// <summary>Queries of the largest tile on one KV head.</summary>
    public readonly int Queries => LargestTile * Group;

    public static int SpanOf(int position) => position / SpanPositions;

    /// <summary>Where query <paramref name="q"/> of a tile on one KV head lies in the query and output tensors.</summary>
    public readonly long Offset(AttentionTile tile, int kvHead, int q)
    {
        long row = tile.FirstRow + (q / Group);
        return ((row * Heads) + (kvHead * Group) + (q % Group)) * HeadDim;
    }
}
