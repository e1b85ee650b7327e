using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>One layer of a KV cache as pointers and strides.</summary>
internal readonly unsafe struct KvView(HostKvCache cache, int layer)
{
    private readonly byte* _keys = cache.Keys(layer, 0, 0);
    private readonly byte* _values = cache.Values(layer, 0, 0);
    private readonly int _kvHeads = cache.Shape.KvHeads;
    private readonly long _headBytes = (long)KvShape.BlockSize * cache.Shape.HeadDim * cache.Shape.ElementBytes;

    /// <summary>The keys of a block for one head, position by position.</summary>
    public byte* Keys(int block, int kvHead) => _keys + Offset(block, kvHead);

    /// <summary>The values of a block for one head, position by position.</summary>
    public byte* Values(int block, int kvHead) => _values + Offset(block, kvHead);

    private long Offset(int block, int kvHead) => (((long)block * _kvHeads) + kvHead) * _headBytes;
}
