namespace Llama3Cluster.Kernels.Formats;

/// <summary>
/// The 12 bytes of Q4_K and Q5_K that hold eight 6-bit scales and eight 6-bit minima. Bytes 0-3 and 4-7 are scales and minima 0-3 in
/// their low six bits; bytes 8-11 hold the low four bits of scales and minima 4-7, whose upper two bits are the top of bytes 0-7.
/// </summary>
internal static class SubScales
{
    public const int Count = 8;
    public const int Bytes = 12;
    public const int Largest = 63;

    public static (int Scale, int Min) Read(ReadOnlySpan<byte> packed, int sub)
    {
        if (sub < 4)
            return (packed[sub] & 0x3F, packed[sub + 4] & 0x3F);
        byte low = packed[sub + 4];
        return ((low & 0x0F) | (packed[sub - 4] >> 6 << 4), (low >> 4) | (packed[sub] >> 6 << 4));
    }

    public static void Write(ReadOnlySpan<byte> scales, ReadOnlySpan<byte> mins, Span<byte> packed)
    {
        for (int sub = 0; sub < 4; sub++)
        {
            packed[sub] = (byte)(scales[sub] | (scales[sub + 4] >> 4 << 6));
            packed[sub + 4] = (byte)(mins[sub] | (mins[sub + 4] >> 4 << 6));
            packed[sub + 8] = (byte)((scales[sub + 4] & 0x0F) | ((mins[sub + 4] & 0x0F) << 4));
        }
    }
}
