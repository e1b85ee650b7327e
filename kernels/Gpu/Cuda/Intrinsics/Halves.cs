namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <summary>Two half-precision numbers in 32 bits, on the host.</summary>
internal static class Halves
{
    public static uint Pack(Half low, Half high) =>
        BitConverter.HalfToUInt16Bits(low) | ((uint)BitConverter.HalfToUInt16Bits(high) << 16);

    public static Half Low(uint pair) => BitConverter.UInt16BitsToHalf((ushort)pair);

    public static Half High(uint pair) => BitConverter.UInt16BitsToHalf((ushort)(pair >> 16));
}
