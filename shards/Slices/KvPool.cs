using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Slices;

/// <summary>
/// The paged keys and values of a slice's layers. Which block belongs to which sequence is decided by whoever drives the
/// pipeline, and is the same on all of its stages; the pool only stores and refuses numbers that it does not have.
/// </summary>
public sealed class KvPool : IDisposable
{
    /// <summary>Allocates the blocks on a device; a slice without layers needs none.</summary>
    public KvPool(ComputeDevice device, KvShape shape)
    {
        Blocks = shape.Blocks;
        Cache = shape.Layers > 0 ? device.AllocateKv(shape) : null;
    }

    /// <summary>Blocks of <see cref="KvShape.BlockSize"/> positions.</summary>
    public int Blocks { get; }

    /// <summary>Bytes of all blocks.</summary>
    public long ByteCount => Cache?.Shape.ByteCount ?? 0;

    internal KvCache? Cache { get; }

    /// <summary>Blocks that hold so many positions.</summary>
    public static int BlocksFor(int positions) => (positions + KvShape.BlockSize - 1) / KvShape.BlockSize;

    /// <summary>Whether every number names a block of the pool.</summary>
    public bool Holds(ReadOnlySpan<int> blocks)
    {
        foreach (int block in blocks)
        {
            if ((uint)block >= (uint)Blocks)
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => Cache?.Dispose();
}
