using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>
/// How a cached element is stored. A block's keys of one head lie [chunk][position], its values [position][chunk], where a chunk is 16 bytes
/// of consecutive elements of one vector; then, for eight bits, the scales [group of 32][position]. So threads that take a position each
/// read keys side by side, and threads that take elements read values side by side.
/// </summary>
internal interface IKvFormat
{
    /// <summary>Fours of elements in a chunk.</summary>
    static abstract int Fours { get; }

    /// <summary>The factor of a chunk's elements.</summary>
    static abstract float ScaleOf(ArrayView<U4> cache, KvPlace place, int chunk);

    /// <summary>The four elements in turn.</summary>
    static abstract F4 First(U4 chunk, float scale);

    /// <summary>The chunk with the next four in turn.</summary>
    static abstract U4 Next(U4 chunk);

    /// <summary>Four elements of a value.</summary>
    static abstract F4 Value(ArrayView<U4> cache, KvPlace place, int four);
}

/// <summary>Where one position's key or value of one head lies.</summary>
internal struct KvPlace
{
    /// <summary>The first chunk of the block's head.</summary>
    public long Base;

    /// <summary>The position within the block.</summary>
    public int Position;

    /// <summary>Chunks of a vector.</summary>
    public int Chunks;

    /// <summary>A key's chunk.</summary>
    public readonly long Key(int chunk) => Base + (chunk * KvShape.BlockSize) + Position;

    /// <summary>A value's chunk.</summary>
    public readonly long Value(int chunk) => Base + (Position * Chunks) + chunk;

    /// <summary>The scale of a group of 32 elements (two chunks), in half-precision words.</summary>
    public readonly long Scale(int group) => (8 * (Base + (KvShape.BlockSize * Chunks))) + (group * KvShape.BlockSize) + Position;
}

/// <summary>Single precision.</summary>
internal readonly struct F32Kv : IKvFormat
{
    public static int Fours => 1;

    public static float ScaleOf(ArrayView<U4> cache, KvPlace place, int chunk) => 1f;

    public static F4 First(U4 chunk, float scale) => F4.Of(
        Bits.IntAsFloat(chunk.X), Bits.IntAsFloat(chunk.Y), Bits.IntAsFloat(chunk.Z), Bits.IntAsFloat(chunk.W));

    public static U4 Next(U4 chunk) => chunk;

    public static F4 Value(ArrayView<U4> cache, KvPlace place, int four) => First(cache[place.Value(four)], 1f);
}

/// <summary>Half precision.</summary>
internal readonly struct F16Kv : IKvFormat
{
    public static int Fours => 2;

    public static float ScaleOf(ArrayView<U4> cache, KvPlace place, int chunk) => 1f;

    public static F4 First(U4 chunk, float scale) => Decode(chunk.X, chunk.Y);

    public static U4 Next(U4 chunk)
    {
        chunk.X = chunk.Z;
        chunk.Y = chunk.W;
        return chunk;
    }

    public static F4 Value(ArrayView<U4> cache, KvPlace place, int four)
    {
        U2 pair = cache.Cast<U2>()[(2 * place.Value(0)) + four];
        return Decode(pair.X, pair.Y);
    }

    private static F4 Decode(uint low, uint high) => F4.Of(
        HalfBits.ToSingle(low & 0xFFFF), HalfBits.ToSingle(low >> 16), HalfBits.ToSingle(high & 0xFFFF), HalfBits.ToSingle(high >> 16));
}

/// <summary>bfloat16.</summary>
internal readonly struct Bf16Kv : IKvFormat
{
    public static int Fours => 2;

    public static float ScaleOf(ArrayView<U4> cache, KvPlace place, int chunk) => 1f;

    public static F4 First(U4 chunk, float scale) => Decode(chunk.X, chunk.Y);

    public static U4 Next(U4 chunk) => F16Kv.Next(chunk);

    public static F4 Value(ArrayView<U4> cache, KvPlace place, int four)
    {
        U2 pair = cache.Cast<U2>()[(2 * place.Value(0)) + four];
        return Decode(pair.X, pair.Y);
    }

    private static F4 Decode(uint low, uint high) =>
        F4.Of(HalfBits.LowBrain(low), HalfBits.HighBrain(low), HalfBits.LowBrain(high), HalfBits.HighBrain(high));
}

/// <summary>Eight bits an element, a scale for 32.</summary>
internal readonly struct Q8Kv : IKvFormat
{
    private const int FoursPerGroup = KvShape.ScaleGroup / 4;

    public static int Fours => 4;

    public static float ScaleOf(ArrayView<U4> cache, KvPlace place, int chunk) => HalfBits.ToSingle(cache.Cast<ushort>()[place.Scale(chunk / 2)]);

    public static F4 First(U4 chunk, float scale) => Unpack.Scaled(Unpack.SignedBytes(chunk.X), scale);

    public static U4 Next(U4 chunk) => Unpack.Rotated(chunk);

    public static F4 Value(ArrayView<U4> cache, KvPlace place, int four) => Unpack.Scaled(
        Unpack.SignedBytes(cache.Cast<uint>()[(4 * place.Value(0)) + four]),
        HalfBits.ToSingle(cache.Cast<ushort>()[place.Scale(four / FoursPerGroup)]));
}
