using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>All spans of all tiles, one after the other, and where their states lie.</summary>
internal readonly unsafe struct SpanTable
{
    private readonly int* _tiles;
    private readonly TileStart* _starts;
    private readonly float* _states;

    private SpanTable(int* tiles, TileStart* starts, float* states)
    {
        _tiles = tiles;
        _starts = starts;
        _states = states;
    }

    /// <summary>Lays the spans of tiles out.</summary>
    public static SpanTable Create<TS, TV>(in AttentionPlan plan, int tiles, int spans, Scratch table, Scratch states)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        var starts = (TileStart*)table.Take(((long)tiles * sizeof(TileStart)) + ((long)spans * sizeof(int)));
        var owners = (int*)(starts + tiles);
        int span = 0;
        long queries = 0;
        for (int t = 0; t < tiles; t++)
        {
            starts[t] = new TileStart(queries, span);
            new Span<int>(owners + span, plan.Tiles[t].Spans).Fill(t);
            span += plan.Tiles[t].Spans;
            queries += (long)plan.Tiles[t].Spans * plan.Tiles[t].Rows * plan.Heads;
        }

        long bytes = queries * AttentionState<TS, TV>.Floats(plan.PaddedHeadDim) * sizeof(float);
        return new SpanTable(owners, starts, (float*)states.Take(bytes));
    }

    /// <summary>The tile of a span of the table, and which of the tile's spans it is.</summary>
    public (int Tile, int Span) At(int index) => (_tiles[index], index - _starts[_tiles[index]].Span);

    /// <summary>The states of a tile's span on one KV head.</summary>
    public float* States<TS, TV>(in AttentionPlan plan, int tile, int span, int kvHead)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        long queries = (long)plan.Tiles[tile].Rows * plan.Group;
        long first = _starts[tile].Query + (((span * plan.KvHeads) + kvHead) * queries);
        return _states + (first * AttentionState<TS, TV>.Floats(plan.PaddedHeadDim));
    }

    private readonly record struct TileStart(long Query, int Span);
}
