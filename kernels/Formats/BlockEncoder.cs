using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// Encodes float32 rows in every weight format. The quantizers fit each block's scales by least squares over a few candidates: good
/// enough to synthesize models and to test with, without the importance weights of a production quantizer.
/// </summary>
public static class BlockEncoder
{
    private delegate void Encoder(ReadOnlySpan<float> source, Span<byte> block);

    /// <summary>Encodes one row.</summary>
    /// <param name="format">The format to write.</param>
    /// <param name="source">The row's elements: a whole number of blocks, finite if the format is quantized.</param>
    /// <param name="destination">Exactly the row's bytes.</param>
    /// <exception cref="ArgumentException">
    /// The lengths do not fit each other, or are not a whole number of blocks, or an element cannot be quantized.
    /// </exception>
    public static void Quantize(WeightFormat format, ReadOnlySpan<float> source, Span<byte> destination)
    {
        if (destination.Length != format.RowBytes(source.Length))
            throw new ArgumentException($"{source.Length} {format} elements take {format.RowBytes(source.Length)} bytes, not {destination.Length}");
        switch (format)
        {
            case WeightFormat.F32:
                for (int i = 0; i < source.Length; i++)
                    BinaryPrimitives.WriteSingleLittleEndian(destination[(4 * i)..], source[i]);
                break;
            case WeightFormat.F16:
                for (int i = 0; i < source.Length; i++)
                    BinaryPrimitives.WriteHalfLittleEndian(destination[(2 * i)..], (Half)source[i]);
                break;
            case WeightFormat.BF16:
                for (int i = 0; i < source.Length; i++)
                    BinaryPrimitives.WriteUInt16LittleEndian(destination[(2 * i)..], Bf16.FromSingle(source[i]));
                break;
            default:
                EncodeBlocks(format, EncoderOf(format), source, destination);
                break;
        }
    }

    private static Encoder EncoderOf(WeightFormat format) => format switch
    {
        WeightFormat.Q8_0 => Q8Block.Encode,
        WeightFormat.Q4_0 => Q4Block.Encode,
        WeightFormat.Q4_K => Q4KBlock.Encode,
        WeightFormat.Q5_K => Q5KBlock.Encode,
        WeightFormat.Q6_K => Q6KBlock.Encode,
        _ => throw new NotSupportedException($"weights of format {format} cannot be encoded"),
    };

    private static void EncodeBlocks(WeightFormat format, Encoder encode, ReadOnlySpan<float> source, Span<byte> destination)
    {
        for (int i = 0; i < source.Length; i++)
        {
            if (!float.IsFinite(source[i]))
                throw new ArgumentException($"element {i} is {source[i]}; {format} holds finite numbers only", nameof(source));
        }

        int elements = format.ElementsPerBlock(), bytes = format.BytesPerBlock();
        for (; !source.IsEmpty; source = source[elements..], destination = destination[bytes..])
            encode(source[..elements], destination[..bytes]);
    }
}
