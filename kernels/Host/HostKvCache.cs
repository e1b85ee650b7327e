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

    /// <summary>Allocates a zeroed cache. The operating system commits its pages when they are first written.</summary>
    public HostKvCache(KvShape shape)
        : base(shape)
    {
        nuint bytes = checked((nuint)shape.ByteCount);
        Data = (byte*)NativeMemory.AlignedAlloc(bytes + PageSlack, Alignment);
        if (bytes > 0)
            NativeMemory.Clear(Data, bytes);
    }

    /// <summary>Frees memory that was never disposed.</summary>
    ~HostKvCache() => Dispose(false);

    private const nuint PageSlack = Alignment;

    private byte* Data { get; set; }

    /// <summary>The first element of a block's keys for one head: <see cref="KvShape.BlockSize"/> x head dim elements follow.</summary>
    public byte* Keys(int layer, int block, int kvHead) => At(2 * layer, block, kvHead);

    /// <summary>The first element of a block's values for one head, laid out as the keys are.</summary>
    public byte* Values(int layer, int block, int kvHead) => At((2 * layer) + 1, block, kvHead);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        NativeMemory.AlignedFree(Data);
        Data = null;
    }

    private byte* At(int plane, int block, int kvHead)
    {
        long head = ((((long)plane * Shape.Blocks) + block) * Shape.KvHeads) + kvHead;
        return Data + (head * KvShape.BlockSize * Shape.HeadDim * Shape.ElementBytes);
    }
}
