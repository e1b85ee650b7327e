using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// One layer of a KV cache as pointers and strides. In a block, one head's values are [position][head dim], as everywhere; its keys are
/// [head dim][position], so that a vector holds one element of the keys at consecutive positions: scores then come out as vectors of
/// positions, without sums across lanes.
/// </summary>
internal readonly unsafe struct KvView(HostKvCache cache, int layer)
{
    private readonly byte* _keys = cache.Keys(layer, 0, 0);
    private readonly byte* _values = cache.Values(layer, 0, 0);
    private readonly int _kvHeads = cache.Shape.KvHeads;

    /// <summary>Bytes of a block's keys, or values, for one head.</summary>
    public long HeadBytes { get; } = cache.Shape.HeadBytesPerBlock;

    /// <summary>The keys of a block for one head.</summary>
    public byte* Keys(int block, int kvHead) => _keys + Offset(block, kvHead);

    /// <summary>The values of a block for one head.</summary>
    public byte* Values(int block, int kvHead) => _values + Offset(block, kvHead);

    private long Offset(int block, int kvHead) => (((long)block * _kvHeads) + kvHead) * HeadBytes;
}
