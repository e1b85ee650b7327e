using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Host;

/// <summary>
/// A paged KV cache in host memory. For each layer first the keys, then the values; each is [block][KV head], with
/// <see cref="KvShape.HeadBytesPerBlock"/> bytes of which the device decides how the block's positions lie in them.
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
        KvShape.Check(shape.Format, shape.HeadDim);

        // Large zeroed allocations come as untouched pages; aligned ones would have to be cleared by hand.
        nuint bytes = checked((nuint)shape.ByteCount);
        _allocation = NativeMemory.AllocZeroed(checked(bytes + Alignment + sizeof(bool)));
        _data = (byte*)(((nuint)_allocation + Alignment - 1) / Alignment * Alignment);
    }

    /// <summary>Frees memory that was never disposed.</summary>
    ~HostKvCache() => Dispose(false);

    /// <summary>A block's keys for one head.</summary>
    public byte* Keys(int layer, int block, int kvHead) => At(2 * layer, block, kvHead);

    /// <summary>A block's values for one head.</summary>
    public byte* Values(int layer, int block, int kvHead) => At((2 * layer) + 1, block, kvHead);

    /// <summary>Set by a device that has stored what may be an infinity or a NaN, so that it may read what is surely finite faster.</summary>
    internal bool* MayHoldSpecials => (bool*)At(2 * Shape.Layers, 0, 0);

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
        return _data + (head * Shape.HeadBytesPerBlock);
    }
}
