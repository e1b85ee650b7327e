namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>What attention and its cache need of a vector width besides arithmetic.</summary>
/// <typeparam name="TV">The vector type.</typeparam>
internal unsafe interface IAttentionLanes<TV>
    where TV : unmanaged
{
    /// <summary>Stores the nearest half-precision numbers, ties to even: the same bits as a conversion to <see cref="Half"/>.</summary>
    static abstract void StoreHalf(ushort* destination, TV value);

    /// <summary>Stores the nearest bfloat16 numbers, ties to even: the same bits as <see cref="Formats.Bf16.FromSingle"/>.</summary>
    static abstract void StoreBf16(ushort* destination, TV value);

    /// <summary>Stores whole numbers from -128 to 127 as bytes.</summary>
    static abstract void StoreSByte(sbyte* destination, TV value);

    /// <summary>The largest lane; a NaN may hide it.</summary>
    static abstract float Largest(TV a);
}
