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

    /// <summary>
    /// Eight bits an element: 32 elements of one head's key or value share a half-precision scale, as in the weight format of that name.
    /// Head dims that are no multiple of 32 are refused.
    /// </summary>
    Q8_0,
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

    /// <summary>Elements that share a scale in <see cref="KvFormat.Q8_0"/>.</summary>
    public const int ScaleGroup = 32;

    /// <summary>Bytes that one block of one head takes in a layer, for its keys and again for its values.</summary>
    public long HeadBytesPerBlock => checked((long)BlockSize * Format switch
    {
        KvFormat.F32 => 4L * HeadDim,
        KvFormat.Q8_0 => HeadDim + (HeadDim / ScaleGroup * 2L),
        _ => 2L * HeadDim,
    });

    /// <summary>Bytes that one block takes over all layers, keys and values together.</summary>
    public long BytesPerBlock => checked(2L * Layers * KvHeads * HeadBytesPerBlock);

    /// <summary>Bytes of the whole cache.</summary>
    public long ByteCount => checked(BytesPerBlock * Blocks);

    /// <summary>Checks that heads of a size can be cached in a format.</summary>
    /// <exception cref="ArgumentException">They cannot.</exception>
    public static void Check(KvFormat format, int headDim)
    {
        if (format == KvFormat.Q8_0 && headDim % ScaleGroup != 0)
            throw new ArgumentException($"a Q8_0 KV cache takes heads of whole groups of {ScaleGroup} elements, not of {headDim}: choose another format");
    }
}
