namespace Llama3Cluster.Kernels.Devices;

/// <summary>How cached keys and values are stored.</summary>
public enum KvFormat : byte
{
    /// <summary>Single precision: for checking.</summary>
    F32,

    /// <summary>Half precision.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,
}

/// <summary>The size of a slice's paged KV cache.</summary>
/// <param name="Layers">Layers of the slice.</param>
/// <param name="Blocks">Blocks of <see cref="BlockSize"/> positions, in each layer.</param>
/// <param name="KvHeads">Key/value heads of a layer.</param>
/// <param name="HeadDim">Elements of a head.</param>
/// <param name="Format">How an element is stored.</param>
public readonly record struct KvShape(int Layers, int Blocks, int KvHeads, int HeadDim, KvFormat Format)
{
    /// <summary>Positions of one block.</summary>
    public const int BlockSize = 16;

    /// <summary>Bytes that one block of one head takes in a layer, for its keys and again for its values.</summary>
    public long HeadBytesPerBlock => checked((long)BlockSize * HeadDim * (Format == KvFormat.F32 ? 4 : 2));

    /// <summary>Bytes that one block takes over all layers, keys and values together.</summary>
    public long BytesPerBlock => checked(2L * Layers * KvHeads * HeadBytesPerBlock);

    /// <summary>Bytes of the whole cache.</summary>
    public long ByteCount => checked(BytesPerBlock * Blocks);
}
