using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>Scalar decoding of every weight format to float32: the specification that the fast kernels are tested against.</summary>
public static class BlockCodec
{
    private delegate void BlockDecoder(ReadOnlySpan<byte> block, Span<float> destination);

    /// <summary>Decodes one row.</summary>
    /// <param name="format">The row's format.</param>
    /// <param name="source">Exactly the row's bytes.</param>
    /// <param name="destination">The row's elements.</param>
    /// <exception cref="ArgumentException">The lengths do not fit each other, or are not a whole number of blocks.</exception>
    public static void Dequantize(WeightFormat format, ReadOnlySpan<byte> source, Span<float> destination)
    {
        if (source.Length != format.RowBytes(destination.Length))
            throw new ArgumentException($"{destination.Length} {format} elements take {format.RowBytes(destination.Length)} bytes, not {source.Length}");
        switch (format)
        {
            case WeightFormat.F32:
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadSingleLittleEndian(source[(4 * i)..]);
                break;
            case WeightFormat.F16:
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(source[(2 * i)..]);
                break;
            case WeightFormat.BF16:
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = Bf16.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(source[(2 * i)..]));
                break;
            default:
                DecodeBlocks(format, Decoder(format), source, destination);
                break;
        }
    }

    private static BlockDecoder Decoder(WeightFormat format) => format switch
    {
        WeightFormat.Q8_0 => Q8Block.Decode,
        WeightFormat.Q4_0 => Q4Block.Decode,
        WeightFormat.Q4_K => Q4KBlock.Decode,
        WeightFormat.Q5_K => Q5KBlock.Decode,
        WeightFormat.Q6_K => Q6KBlock.Decode,
        _ => throw new NotSupportedException($"weights of format {format} cannot be decoded"),
    };

    private static void DecodeBlocks(WeightFormat format, BlockDecoder decode, ReadOnlySpan<byte> source, Span<float> destination)
    {
        int elements = format.ElementsPerBlock(), bytes = format.BytesPerBlock();
        for (; !destination.IsEmpty; source = source[bytes..], destination = destination[elements..])
            decode(source[..bytes], destination[..elements]);
    }
}
