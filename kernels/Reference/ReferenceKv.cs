using System.Buffers.Binary;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Reference;

/// <summary>How the reference lays a block's keys, or values, of one head out: position by position.</summary>
internal static unsafe class ReferenceKv
{
    /// <summary>Stores one position's vector. In eight bits a group whose scale half precision cannot hold becomes NaNs.</summary>
    public static void Store(ReadOnlySpan<float> vector, byte* block, int position, KvFormat format)
    {
        int first = position * vector.Length;
        switch (format)
        {
            case KvFormat.F32:
                vector.CopyTo(new Span<float>((float*)block + first, vector.Length));
                break;
            case KvFormat.F16:
                for (int i = 0; i < vector.Length; i++)
                    ((Half*)block)[first + i] = (Half)vector[i];
                break;
            case KvFormat.BF16:
                for (int i = 0; i < vector.Length; i++)
                    ((ushort*)block)[first + i] = Bf16.FromSingle(vector[i]);
                break;
            default:
                for (int i = 0; i < vector.Length; i += Q8Block.Elements)
                    StoreGroup(vector.Slice(i, Q8Block.Elements), new Span<byte>(Group(block, first + i), Q8Block.Bytes));
                break;
        }
    }

    /// <summary>One element of a block.</summary>
    public static float Fetch(byte* block, int index, KvFormat format) => format switch
    {
        KvFormat.F32 => ((float*)block)[index],
        KvFormat.F16 => (float)((Half*)block)[index],
        KvFormat.BF16 => Bf16.ToSingle(((ushort*)block)[index]),
        _ => Q8Block.Element(new ReadOnlySpan<byte>(Group(block, index), Q8Block.Bytes), index % Q8Block.Elements),
    };

    // A request whose numbers overflow must not end the others' step: the encoder of weights would throw.
    private static void StoreGroup(ReadOnlySpan<float> group, Span<byte> destination)
    {
        float largest = 0;
        foreach (float element in group)
            largest = Math.Max(largest, Math.Abs(element));
        if (Half.IsFinite((Half)(largest / sbyte.MaxValue)))
        {
            Q8Block.Encode(group, destination);
            return;
        }

        destination.Clear();
        BinaryPrimitives.WriteHalfLittleEndian(destination, Half.NaN);
    }

    private static byte* Group(byte* block, int index) => block + (index / Q8Block.Elements * Q8Block.Bytes);
}
