using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Host;

/// <summary>
/// A paged KV cache in host memory. For each layer first the keys, then the values; each is [block][KV head][position in block]
/// [head dim], so that one head's keys of a block are contiguous.
/// </summary>
public sealed unsafe class HostKvCache : KvCache
{
    private const int Alignment = 64;

    private void* _allocation;
    private readonly byte* _data;

    /// <summary>Allocates a zeroed cache. The operating system commits its pages when they are first touched.</summary>
    public HostKvCache(KvShape shape)
        : base(shape)
    {
        // Large zeroed allocations come as untouched pages; aligned ones would have to be cleared by hand.
        nuint bytes = checked((nuint)shape.ByteCount);
        _allocation = NativeMemory.AllocZeroed(checked(bytes + Alignment));
        _data = (byte*)(((nuint)_allocation + Alignment - 1) / Alignment * Alignment);
    }

    /// <summary>Frees memory that was never disposed.</summary>
    ~HostKvCache() => Dispose(false);

    /// <summary>The first element of a block's keys for one head: <see cref="KvShape.BlockSize"/> x head dim elements follow.</summary>
    public byte* Keys(int layer, int block, int kvHead) => At(2 * layer, block, kvHead);

    /// <summary>The first element of a block's values for one head, laid out as the keys are.</summary>
    public byte* Values(int layer, int block, int kvHead) => At((2 * layer) + 1, block, kvHead);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        NativeMemory.Free(_allocation);
        _allocation = null;
    }

    private byte* At(int plane, int block, int kvHead)
    {
        ObjectDisposedException.ThrowIf(_allocation == null, this);
        long head = ((((long)plane * Shape.Blocks) + block) * Shape.KvHeads) + kvHead;
        return _data + (head * KvShape.BlockSize * Shape.HeadDim * Shape.ElementBytes);
    }
}
