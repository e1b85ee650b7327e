using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Attention of one tile on one KV head over one span of the context. Step by step of the positions: scores of all queries, their weights,
/// and the weighted values. Keys and values are converted to a panel, which then serves all queries of the tile.
/// </summary>
internal readonly unsafe struct AttentionSpan<TS, TV, TKv>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TKv : struct, IKvLoader
{
    private readonly AttentionPlan _plan;
    private readonly AttentionTile _tile;
    private readonly KvPanel<TS, TV, TKv> _panel;
    private readonly int _queryCount;
    private readonly float* _queries;
    private readonly float* _weights;

    /// <summary>Prepares a tile: scales its queries by 1 / sqrt(d) into <paramref name="scratch"/>.</summary>
    [MethodImpl(Jit.Alone)]
    public AttentionSpan(in AttentionPlan plan, AttentionTile tile, int kvHead, float* scratch)
    {
        _plan = plan;
        _tile = tile;
        _panel = new KvPanel<TS, TV, TKv>(plan, tile, kvHead, scratch);
        _weights = scratch + KvPanel<TS, TV, TKv>.Floats(plan);
        _queries = _weights + (plan.Queries * AttentionPlan.StepPositions);
        _queryCount = tile.Rows * plan.Group;
        float scale = 1 / MathF.Sqrt(plan.HeadDim);
        for (int q = 0; q < _queryCount; q++)
        {
            float* from = plan.Query + plan.Offset(tile, kvHead, q), to = _queries + (q * plan.HeadDim);
            for (int i = 0; i < plan.HeadDim; i++)
                to[i] = from[i] * scale;
        }
    }

    /// <summary>Floats of scratch that a span needs.</summary>
    public static long ScratchFloats(in AttentionPlan plan) =>
        KvPanel<TS, TV, TKv>.Floats(plan) + ((long)plan.Queries * (AttentionPlan.StepPositions + plan.HeadDim));

    /// <summary>Gathers the span for every query that sees it.</summary>
    [MethodImpl(Jit.Alone)]
    public void Gather(int span, float* states)
    {
        for (int q = 0; q < _queryCount; q++)
            State(states, q).Clear();
        int end = Math.Min(_tile.Positions, (span + 1) * AttentionPlan.SpanPositions);
        for (int first = span * AttentionPlan.SpanPositions; first < end; first += AttentionPlan.StepPositions)
        {
            int firstQuery = Math.Max(0, first - _tile.FirstPosition) * _plan.Group;
            Score(first, firstQuery);
            for (int q = firstQuery; q < _queryCount; q++)
                State(states, q).Weigh(_weights + (q * AttentionPlan.StepPositions), Seen(q, first));
            Accumulate(first, firstQuery, states);
        }
    }

    // How many positions of a step a query sees.
    private int Seen(int q, int first) =>
        Math.Min(AttentionPlan.StepPositions, _tile.FirstPosition + (q / _plan.Group) + 1 - first);

    private AttentionState<TS, TV> State(float* states, int q) => AttentionStates<TS, TV>.At(_plan, states, q);

    // Scores of a query come in whole panels: those of positions that it does not see mean nothing.
    [MethodImpl(Jit.Alone)]
    private void Score(int first, int firstQuery)
    {
        int width = PanelProduct<TS, TV>.Width, headDim = _plan.HeadDim;
        new Span<float>(
            _weights + (firstQuery * AttentionPlan.StepPositions), (_queryCount - firstQuery) * AttentionPlan.StepPositions).Clear();
        for (int part = 0; part < Seen(_queryCount - 1, first); part += width)
        {
            _panel.LoadKeys(first + part);
            int q = firstQuery;
            for (; q + PanelProduct<TS, TV>.Rows <= _queryCount; q += PanelProduct<TS, TV>.Rows)
            {
                if (Seen(q + PanelProduct<TS, TV>.Rows - 1, first) > part)
                {
                    PanelProduct<TS, TV>.FourRows(
                        _queries + (q * headDim), headDim, _panel.Data, headDim,
                        _weights + (q * AttentionPlan.StepPositions) + part, AttentionPlan.StepPositions);
                }
            }

            for (; q < _queryCount; q++)
            {
                PanelProduct<TS, TV>.OneRow(
                    _queries + (q * headDim), _panel.Data, headDim, _weights + (q * AttentionPlan.StepPositions) + part);
            }
        }
    }

    [MethodImpl(Jit.Alone)]
    private void Accumulate(int first, int firstQuery, float* states)
    {
        int stateFloats = AttentionState<TS, TV>.Floats(_plan.PaddedHeadDim), seenByAny = Seen(_queryCount - 1, first);
        for (int d = 0; d < _plan.PaddedHeadDim; d += PanelProduct<TS, TV>.Width)
        {
            _panel.LoadValues(first, seenByAny, d);
            int q = firstQuery;
            for (; q + PanelProduct<TS, TV>.Rows <= _queryCount; q += PanelProduct<TS, TV>.Rows)
            {
                // What the later rows of the tile see beyond the first one is not the first one's, not even at weight 0.
                int seenByAll = Seen(q, first);
                PanelProduct<TS, TV>.FourRows(
                    _weights + (q * AttentionPlan.StepPositions), AttentionPlan.StepPositions, _panel.Data, seenByAll,
                    State(states, q).Values + d, stateFloats);
                for (int row = 1; row < PanelProduct<TS, TV>.Rows; row++)
                    AccumulateOne(first, q + row, seenByAll, d, states);
            }

            for (; q < _queryCount; q++)
                AccumulateOne(first, q, 0, d, states);
        }
    }

    private void AccumulateOne(int first, int q, int done, int d, float* states)
    {
        int rest = Seen(q, first) - done;
        if (rest > 0)
        {
            PanelProduct<TS, TV>.OneRow(
                _weights + (q * AttentionPlan.StepPositions) + done, _panel.Data + (done * PanelProduct<TS, TV>.Width), rest,
                State(states, q).Values + d);
        }
    }
}
