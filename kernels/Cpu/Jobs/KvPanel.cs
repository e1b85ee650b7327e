using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>Cached keys or values of one sequence and KV head, converted and packed for <see cref="PanelProduct{TS, TV}"/>.</summary>
internal readonly unsafe struct KvPanel<TS, TV, TKv>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TKv : struct, IKvLoader
{
    private readonly KvView _kv;
    private readonly int* _blocks;
    private readonly int _kvHead;
    private readonly int _headDim;
    private readonly int _lastBlock;

    public KvPanel(in AttentionPlan plan, AttentionTile tile, int kvHead, float* data)
    {
        _kv = plan.Kv;
        _blocks = plan.Blocks + plan.Sequences[tile.Sequence].BlockOffset;
        _kvHead = kvHead;
        _headDim = plan.HeadDim;
        _lastBlock = (tile.Positions - 1) / KvShape.BlockSize;
        Data = data;
    }

    /// <summary>The panel.</summary>
    public float* Data { get; }

    /// <summary>Floats of a panel.</summary>
    public static long Floats(in AttentionPlan plan) =>
        (long)Math.Max(plan.HeadDim, AttentionPlan.StepPositions) * PanelProduct<TS, TV>.Width;

    /// <summary>
    /// Keys: a step an element, a lane a position. Positions beyond the tile's last are some others. Asks for the next panel's keys.
    /// </summary>
    [MethodImpl(Jit.Alone)]
    public void LoadKeys(int first)
    {
        int headDim = _headDim, second = first + TS.Count, inBlock0 = first % KvShape.BlockSize, inBlock1 = second % KvShape.BlockSize;
        byte* keys0 = Keys(first), keys1 = Keys(second), next0 = Keys(first + (2 * TS.Count)), next1 = Keys(second + (2 * TS.Count));
        long elementBytes = _kv.HeadBytes / headDim;
        float* to = Data;
        for (int group = 0; group < headDim; group += KvShape.ScaleGroup)
        {
            TV scales0 = TKv.Scales<TS, TV>(keys0, headDim, group, inBlock0), scales1 = TKv.Scales<TS, TV>(keys1, headDim, group, inBlock1);
            int end = Math.Min(group + KvShape.ScaleGroup, headDim);
            for (int d = group; d < end; d++)
            {
                Prefetch.Line(next0 + (d * elementBytes));
                Prefetch.Line(next1 + (d * elementBytes));
                TS.Store(to, TKv.Keys<TS, TV>(keys0, headDim, d, inBlock0, scales0));
                TS.Store(to + TS.Count, TKv.Keys<TS, TV>(keys1, headDim, d, inBlock1, scales1));
                to += 2 * TS.Count;
            }
        }
    }

    /// <summary>
    /// Values: a step a position, a lane an element from <paramref name="d"/> on, zero beyond the head. Asks for the values that many
    /// positions later.
    /// </summary>
    public void LoadValues(int first, int count, int d)
    {
        long positionBytes = _kv.HeadBytes / KvShape.BlockSize, offset = d * positionBytes / _headDim;
        float* to = Data;
        for (int p = first; p < first + count; p += KvShape.BlockSize)
        {
            byte* next = Values(p + AttentionPlan.StepPositions) + offset;
            for (int i = 0; i < KvShape.BlockSize; i++)
                Prefetch.Line(next + (i * positionBytes));

            int positions = Math.Min(KvShape.BlockSize, first + count - p);
            if (d + PanelProduct<TS, TV>.Width <= _headDim)
                LoadWhole(Values(p), _headDim, positions, d, to);
            else
                LoadEdge(Values(p), _headDim, positions, d, to);
            to += KvShape.BlockSize * PanelProduct<TS, TV>.Width;
        }
    }

    // A panel is no wider than a group of elements that share a scale, nor does it lie across two.
    [MethodImpl(Jit.Alone)]
    private static void LoadWhole(byte* values, int headDim, int positions, int d, float* to)
    {
        float* scales = stackalloc float[KvShape.BlockSize];
        for (int p = 0; p < KvShape.BlockSize; p += TS.Count)
            TS.Store(scales + p, TKv.Scales<TS, TV>(values, headDim, d, p));
        for (int p = 0; p < positions; p++)
        {
            TS.Store(to, TKv.Value<TS, TV>(values, headDim, p, d, scales + p));
            TS.Store(to + TS.Count, TKv.Value<TS, TV>(values, headDim, p, d + TS.Count, scales + p));
            to += 2 * TS.Count;
        }
    }

    private static void LoadEdge(byte* values, int headDim, int positions, int d, float* to)
    {
        float one = 1;
        for (int p = 0; p < positions; p++)
        {
            for (int i = d; i < d + PanelProduct<TS, TV>.Width; i += TS.Count, to += TS.Count)
            {
                TS.Store(to, i + TS.Count <= headDim ? TKv.Value<TS, TV>(values, headDim, p, i, &one)
                    : i < headDim ? TKv.PartialValue<TS, TV>(values, headDim, p, i, headDim - i)
                    : TS.Splat(0));
            }
        }
    }

    private byte* Keys(int position) => _kv.Keys(Block(position), _kvHead);

    private byte* Values(int position) => _kv.Values(Block(position), _kvHead);

    private int Block(int position) => _blocks[Math.Min(position / KvShape.BlockSize, _lastBlock)];
}
