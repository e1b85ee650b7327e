using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Attention of one tile on one KV head over one span of the context.</summary>
internal readonly unsafe struct AttentionSpan<TS, TV, TL>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TL : struct, IElementLoader
{
    private readonly AttentionPlan _plan;
    private readonly AttentionTile _tile;
    private readonly int _kvHead;
    private readonly float* _queries;
    private readonly float* _keys;
    private readonly float* _values;

    /// <summary>Prepares a tile: scales its queries by 1 / sqrt(d) into <paramref name="scratch"/>.</summary>
    public AttentionSpan(AttentionPlan* plan, AttentionTile tile, int kvHead, float* scratch)
    {
        _plan = *plan;
        _tile = tile;
        _kvHead = kvHead;
        _keys = scratch;
        _values = _keys + (KvShape.BlockSize * _plan.PaddedHeadDim);
        _queries = _values + (KvShape.BlockSize * _plan.PaddedHeadDim);
        float scale = 1 / MathF.Sqrt(_plan.HeadDim);
        for (int q = 0; q < tile.Rows * _plan.Group; q++)
        {
            float* from = _plan.Query + _plan.Offset(tile, kvHead, q), to = _queries + (q * _plan.PaddedHeadDim);
            for (int i = 0; i < _plan.PaddedHeadDim; i++)
                to[i] = i < _plan.HeadDim ? from[i] * scale : 0;
        }
    }

    /// <summary>Floats of scratch that a span needs.</summary>
    public static long ScratchFloats(in AttentionPlan plan) => ((2L * KvShape.BlockSize) + plan.Queries) * plan.PaddedHeadDim;

    /// <summary>Gathers the span for every query that sees it.</summary>
    public void Gather(int span, float* states)
    {
        int group = _plan.Group;
        for (int q = 0; q < _tile.Rows * group; q++)
            AttentionStates<TS, TV>.At(_plan, states, q).Clear();

        int last = Math.Min(_plan.LastPosition(_tile), ((span + 1) * AttentionPlan.SpanPositions) - 1);
        float* scores = stackalloc float[KvShape.BlockSize];
        for (int first = span * AttentionPlan.SpanPositions; first <= last; first += KvShape.BlockSize)
        {
            LoadBlock(first, Math.Min(KvShape.BlockSize, last + 1 - first));
            for (int row = 0; row < _tile.Rows; row++)
            {
                int count = Math.Min(KvShape.BlockSize, _plan.Positions[_tile.FirstRow + row] + 1 - first);
                for (int q = row * group; q < (row + 1) * group && count > 0; q++)
                {
                    Score(_queries + (q * _plan.PaddedHeadDim), count, scores);
                    AttentionStates<TS, TV>.At(_plan, states, q).Take(scores, _values, count);
                }
            }
        }
    }

    private void LoadBlock(int firstPosition, int count)
    {
        BatchSequence sequence = _plan.Sequences[_tile.Sequence];
        int block = _plan.Blocks[sequence.BlockOffset + (firstPosition / KvShape.BlockSize)];
        Convert(_plan.Kv.Keys(block, _kvHead), count, _keys);
        Convert(_plan.Kv.Values(block, _kvHead), count, _values);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Convert(byte* from, int count, float* to)
    {
        int headDim = _plan.HeadDim, padded = _plan.PaddedHeadDim, whole = headDim - (headDim % TS.Count), rest = headDim - whole;
        for (int p = 0; p < count; p++)
        {
            long element = p * (long)headDim;
            float* row = to + (p * padded);
            for (int i = 0; i < whole; i += TS.Count)
                TS.Store(row + i, TL.Load<TS, TV>(from, element + i));
            if (rest > 0)
                TS.Store(row + whole, TL.LoadPartial<TS, TV>(from, element + whole, rest));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Score(float* query, int count, float* scores)
    {
        int padded = _plan.PaddedHeadDim;
        float* key = _keys;
        for (int p = 0; p < count; p++, key += padded)
        {
            TV sum = TS.Splat(0);
            for (int i = 0; i < padded; i += TS.Count)
                sum = TS.MultiplyAdd(TS.Load(query + i), TS.Load(key + i), sum);
            scores[p] = TS.Sum(sum);
        }

        // The weights are computed in whole vectors; what they hold beyond the count is never used.
        for (int p = count; p < KvShape.BlockSize; p++)
            scores[p] = 0;
    }
}
