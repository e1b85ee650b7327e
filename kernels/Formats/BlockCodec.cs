using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Formats;

/// <summary>Scalar decoding of every weight format to float32: the specification that the fast kernels are tested against.</summary>
public static class BlockCodec
{
    /// <summary>Decodes one row.</summary>
    /// <param name="format">The row's format.</param>
    /// <param name="source">Exactly the row's bytes.</param>
    /// <param name="destination">The row's elements.</param>
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
                    destination[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(source[(2 * i)..]) << 16);
                break;
            default:
                throw new NotSupportedException($"weights of format {format} cannot be decoded");
        }
    }
}
