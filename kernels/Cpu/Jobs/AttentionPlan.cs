using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Rows of one sequence that go through attention together.</summary>
internal readonly record struct AttentionTile(int Sequence, int FirstRow, int Rows);

/// <summary>What the attention jobs know of their operation.</summary>
internal unsafe struct AttentionPlan
{
    /// <summary>Most rows of a tile: they share each converted block of keys and values.</summary>
    public const int TileRows = 16;

    /// <summary>
    /// Positions of a span. Every query gathers each span from nothing and merges the spans in order, whether one thread does them all or
    /// several share them: the split depends on positions alone, so the result does too.
    /// </summary>
    public const int SpanPositions = 512;

    public float* Query;
    public float* Output;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int PaddedHeadDim;
    public KvView Kv;
    public BatchSequence* Sequences;
    public int* Positions;
    public int* Blocks;
    public AttentionTile* Tiles;

    /// <summary>Rows of the largest tile.</summary>
    public int LargestTile;

    /// <summary>Spans of the longest context.</summary>
    public int MostSpans;

    public readonly int Group => Heads / KvHeads;

    /// <summary>Queries of the largest tile on one KV head.</summary>
    public readonly int Queries => LargestTile * Group;

    public static int SpanOf(int position) => position / SpanPositions;

    public readonly int LastPosition(AttentionTile tile) => Positions[tile.FirstRow + tile.Rows - 1];

    /// <summary>Where query <paramref name="q"/> of a tile on one KV head lies in the query and output tensors.</summary>
    public readonly long Offset(AttentionTile tile, int kvHead, int q)
    {
        long row = tile.FirstRow + (q / Group);
        return ((row * Heads) + (kvHead * Group) + (q % Group)) * HeadDim;
    }
}
