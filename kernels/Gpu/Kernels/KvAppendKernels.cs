using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Gpu.Kernels;

/// <summary>A batch as kernels read it.</summary>
internal struct BatchView
{
    public ArrayView<int> Positions;
    public ArrayView<int> RowSequences;

    /// <summary>Five numbers a sequence, as in <see cref="BatchSequence"/>.</summary>
    public ArrayView<int> Sequences;
    public ArrayView<int> Blocks;

    /// <summary>Where the block table of a row's sequence starts.</summary>
    public readonly int TableOf(int row) => Sequences[(5 * RowSequences[row]) + 3];
}

/// <summary>What the kernels that store keys and values take.</summary>
internal struct KvAppendArgs
{
    public BatchView Batch;
    public ArrayView<float> Key;
    public ArrayView<float> Value;
    public int KeyStride;
    public int ValueStride;

    /// <summary>The layer's keys, and its values.</summary>
    public ArrayView<U4> Keys;
    public ArrayView<U4> Values;
    public int KvHeads;
    public int HeadDim;

    /// <summary>Chunks of a vector.</summary>
    public int Chunks;

    /// <summary>Chunks of a block's head, scales included.</summary>
    public int HeadUnits;

    /// <summary>The cache's format, a <see cref="KvFormat"/>.</summary>
    public int Format;
}

/// <summary>Stores keys and values in the paged cache.</summary>
internal static class KvAppendKernels
{
    private const int GroupSize = 128;
    private const float LargestQuant = 127;

    /// <summary>Formats without scales: a thread stores a chunk. Grid: (2 * heads * chunks / group size, rows).</summary>
    public static readonly KernelEntry<KvAppendArgs> Plain = new(new KernelTraits("kv append", GroupSize, 2, Hot: false), AppendChunk);

    /// <summary>Eight bits: a thread stores a group of 32 elements. Grid: (2 * heads * groups / group size, rows).</summary>
    public static readonly KernelEntry<KvAppendArgs> Quantized = new(new KernelTraits("kv append Q8_0", GroupSize, 2, Hot: false), AppendGroup);

    /// <summary>All of them.</summary>
    public static IEnumerable<KernelEntry> Entries => [Plain, Quantized];

    private static void AppendChunk(KvAppendArgs args)
    {
        int item = (Grid.IdxX * GroupSize) + Group.IdxX, row = Grid.IdxY;
        if (item >= 2 * args.KvHeads * args.Chunks)
            return;
        int chunk = item % args.Chunks, head = item / args.Chunks % args.KvHeads;
        KvPlace place = PlaceOf(args, row, head);
        int perChunk = args.Format == (int)KvFormat.F32 ? 4 : 8, first = (head * args.HeadDim) + (chunk * perChunk);
        int count = IntrinsicMath.Min(perChunk, args.HeadDim - (chunk * perChunk));
        if (item < args.KvHeads * args.Chunks)
            args.Keys[place.Key(chunk)] = Pack(args.Key, ((long)row * args.KeyStride) + first, count, args.Format);
        else
            args.Values[place.Value(chunk)] = Pack(args.Value, ((long)row * args.ValueStride) + first, count, args.Format);
    }

    private static void AppendGroup(KvAppendArgs args)
    {
        int item = (Grid.IdxX * GroupSize) + Group.IdxX, row = Grid.IdxY, groups = args.HeadDim / KvShape.ScaleGroup;
        if (item >= 2 * args.KvHeads * groups)
            return;
        int group = item % groups, head = item / groups % args.KvHeads;
        KvPlace place = PlaceOf(args, row, head);
        int first = (head * args.HeadDim) + (group * KvShape.ScaleGroup);
        bool isKey = item < args.KvHeads * groups;
        ArrayView<float> source = isKey ? args.Key : args.Value;
        ArrayView<U4> cache = isKey ? args.Keys : args.Values;
        long at = ((long)row * (isKey ? args.KeyStride : args.ValueStride)) + first;

        uint scale = ScaleOf(source, at);
        float inverse = (scale & 0x7FFF) == 0 ? 0f : 1f / HalfBits.ToSingle(scale);
        int chunk = 2 * group;
        cache[isKey ? place.Key(chunk) : place.Value(chunk)] = Quants(source, at, inverse);
        cache[isKey ? place.Key(chunk + 1) : place.Value(chunk + 1)] = Quants(source, at + 16, inverse);
        cache.Cast<ushort>()[place.Scale(group)] = (ushort)scale;
    }

    private static KvPlace PlaceOf(KvAppendArgs args, int row, int head)
    {
        int position = args.Batch.Positions[row];
        int block = args.Batch.Blocks[args.Batch.TableOf(row) + (position / KvShape.BlockSize)];
        KvPlace place;
        place.Base = (((long)block * args.KvHeads) + head) * args.HeadUnits;
        place.Position = position % KvShape.BlockSize;
        place.Chunks = args.Chunks;
        return place;
    }

    private static U4 Pack(ArrayView<float> source, long at, int count, int format)
    {
        U4 chunk;
        if (format == (int)KvFormat.F32)
        {
            chunk.X = Bits.FloatAsInt(Element(source, at, 0, count));
            chunk.Y = Bits.FloatAsInt(Element(source, at, 1, count));
            chunk.Z = Bits.FloatAsInt(Element(source, at, 2, count));
            chunk.W = Bits.FloatAsInt(Element(source, at, 3, count));
            return chunk;
        }

        chunk.X = Pair(source, at, 0, count, format);
        chunk.Y = Pair(source, at, 2, count, format);
        chunk.Z = Pair(source, at, 4, count, format);
        chunk.W = Pair(source, at, 6, count, format);
        return chunk;
    }

    private static uint Pair(ArrayView<float> source, long at, int i, int count, int format)
    {
        float low = Element(source, at, i, count), high = Element(source, at, i + 1, count);
        return format == (int)KvFormat.F16
            ? HalfBits.FromSingle(low) | (HalfBits.FromSingle(high) << 16)
            : HalfBits.ToBrain(low) | (HalfBits.ToBrain(high) << 16);
    }

    private static float Element(ArrayView<float> source, long at, int i, int count) => i < count ? source[at + i] : 0f;

    // The scale as half-precision bits. What is not finite makes it a NaN, so that whoever reads the group learns of it.
    private static uint ScaleOf(ArrayView<float> source, long at)
    {
        uint largest = 0;
        for (int i = 0; i < KvShape.ScaleGroup; i++)
            largest = IntrinsicMath.Max(largest, Bits.FloatAsInt(source[at + i]) & 0x7FFFFFFF);
        return largest >= 0x7F800000 ? 0x7E00 : HalfBits.FromSingle(Bits.IntAsFloat(largest) / LargestQuant);
    }

    private static U4 Quants(ArrayView<float> source, long at, float inverse)
    {
        U4 chunk;
        chunk.X = Quad(source, at, inverse);
        chunk.Y = Quad(source, at + 4, inverse);
        chunk.Z = Quad(source, at + 8, inverse);
        chunk.W = Quad(source, at + 12, inverse);
        return chunk;
    }

    private static uint Quad(ArrayView<float> source, long at, float inverse) =>
        Quant(source[at] * inverse) | (Quant(source[at + 1] * inverse) << 8)
        | (Quant(source[at + 2] * inverse) << 16) | (Quant(source[at + 3] * inverse) << 24);

    private static uint Quant(float x)
    {
        float bounded = x > LargestQuant ? LargestQuant : x;
        bounded = bounded < -LargestQuant ? -LargestQuant : bounded;
        return (uint)FloatMath.Round(bounded) & 0xFF;
    }
}
