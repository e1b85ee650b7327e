using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Execution;

/// <summary>How the residual stream travels between stages.</summary>
public enum ActivationFormat : byte
{
    /// <summary>
    /// float32, as it was computed: where the model is cut makes no difference to its answers, so a replica that is cut anew
    /// continues a greedy answer with the same tokens.
    /// </summary>
    F32,

    /// <summary>bfloat16: half the bytes, rounded once a stage border.</summary>
    BF16,
}

/// <summary>Conversion between the residual stream and its form on the wire (little-endian).</summary>
public static class ActivationCodec
{
    /// <summary>Bytes of one element.</summary>
    public static int ElementBytes(this ActivationFormat format) => format == ActivationFormat.F32 ? 4 : 2;

    /// <summary>Writes the elements in the wire form.</summary>
    public static void Encode(ReadOnlySpan<float> source, ActivationFormat format, Span<byte> destination)
    {
        if (format == ActivationFormat.F32)
        {
            MemoryMarshal.AsBytes(source).CopyTo(destination);
            return;
        }

        Span<ushort> halves = MemoryMarshal.Cast<byte, ushort>(destination);
        for (int i = 0; i < source.Length; i++)
            halves[i] = Bf16.FromSingle(source[i]);
    }

    /// <summary>Reads the elements from the wire form.</summary>
    public static void Decode(ReadOnlySpan<byte> source, ActivationFormat format, Span<float> destination)
    {
        if (format == ActivationFormat.F32)
        {
            source.CopyTo(MemoryMarshal.AsBytes(destination));
            return;
        }

        ReadOnlySpan<ushort> halves = MemoryMarshal.Cast<byte, ushort>(source);
        for (int i = 0; i < destination.Length; i++)
            destination[i] = Bf16.ToSingle(halves[i]);
    }
}
