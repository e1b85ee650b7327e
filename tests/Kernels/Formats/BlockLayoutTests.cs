using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Formats;

/// <summary>Blocks written byte by byte, with their elements computed by hand.</summary>
public class BlockLayoutTests
{
    private const byte HalfOneLow = 0x00, HalfOneHigh = 0x3C, HalfTwoHigh = 0x40, HalfHalfHigh = 0x38;

    [Fact]
    public void Plain_formats_must_be_little_endian()
    {
        Assert.Equal([1.5f, -2f], Decode(WeightFormat.F32, [0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0], 2));
        Assert.Equal([1.5f, -2f], Decode(WeightFormat.F16, [0x00, 0x3E, 0x00, 0xC0], 2));
        Assert.Equal([1.5f, -2f], Decode(WeightFormat.BF16, [0xC0, 0x3F, 0x00, 0xC0], 2));
    }

    [Fact]
    public void Q8_0_must_be_a_scale_and_32_signed_bytes()
    {
        var block = new byte[34];
        (block[0], block[1]) = (HalfOneLow, HalfHalfHigh);
        block[2] = 3;
        block[2 + 1] = 0x80;
        block[2 + 31] = 0xFF;
        float[] elements = Decode(WeightFormat.Q8_0, block, 32);
        Assert.Equal([1.5f, -64f, 0f], elements[..3]);
        Assert.Equal(-0.5f, elements[31]);
    }

    [Fact]
    public void Q4_0_must_hold_element_i_and_i_plus_16_in_one_byte()
    {
        var block = new byte[18];
        (block[0], block[1]) = (HalfOneLow, HalfTwoHigh);
        block.AsSpan(2).Fill(0x88);
        block[2] = 0xF1;
        block[17] = 0x0A;
        float[] elements = Decode(WeightFormat.Q4_0, block, 32);
        var expected = new float[32];
        (expected[0], expected[16]) = (2 * (1 - 8), 2 * (15 - 8));
        (expected[15], expected[31]) = (2 * (10 - 8), 2 * (0 - 8));
        Assert.Equal(expected, elements);
    }

    [Fact]
    public void Q4_K_must_unpack_scales_minima_and_nibbles()
    {
        byte[] block = KBlock(144);
        const int nibbles = 16;
        block[nibbles + 0] = 0x73;
        block[nibbles + 31] = 0x0F;
        block[nibbles + 96] = 0x21;
        float[] elements = Decode(WeightFormat.Q4_K, block, 256);

        // d = 1, dmin = 0.5; see KBlock for the scales and minima of sub-blocks 0, 1, 6 and 7.
        Assert.Equal((5 * 3) - (0.5f * 4), elements[0]);
        Assert.Equal((63 * 7) - (0.5f * 33), elements[32]);
        Assert.Equal((5 * 15) - (0.5f * 4), elements[31]);
        Assert.Equal(-(0.5f * 33), elements[63]);
        Assert.Equal((45 * 1) - (0.5f * 62), elements[192]);
        Assert.Equal((19 * 2) - (0.5f * 17), elements[224]);
        Assert.Equal(-(0.5f * 62), elements[193]);
    }

    [Fact]
    public void Q5_K_must_take_the_fifth_bit_of_sub_block_s_from_bit_s()
    {
        byte[] block = KBlock(176);
        const int high = 16, nibbles = 48;
        block[nibbles + 0] = 0x73;
        block[nibbles + 96] = 0x21;
        block[high + 0] = 0b1100_0001;
        block[high + 1] = 0b0000_0010;
        float[] elements = Decode(WeightFormat.Q5_K, block, 256);
        Assert.Equal((5 * (16 + 3)) - (0.5f * 4), elements[0]);
        Assert.Equal((63 * 7) - (0.5f * 33), elements[32]);
        Assert.Equal((63 * 16) - (0.5f * 33), elements[33]);
        Assert.Equal(-(0.5f * 4), elements[1]);
        Assert.Equal((45 * (16 + 1)) - (0.5f * 62), elements[192]);
        Assert.Equal((19 * (16 + 2)) - (0.5f * 17), elements[224]);
    }

    [Fact]
    public void Q6_K_must_join_nibbles_and_bit_pairs_of_four_runs()
    {
        var block = new byte[210];
        const int upper = 128, scales = 192;
        (block[208], block[209]) = (HalfOneLow, HalfHalfHigh);
        for (int sub = 0; sub < 16; sub++)
            block[scales + sub] = (byte)(sub + 1);
        block[scales + 9] = 0xFD;
        block[5] = 0x96;
        block[32 + 5] = 0x4B;
        block[upper + 5] = 0b00_11_10_01;
        block[64 + 31] = 0x7F;
        block[upper + 32 + 31] = 0b01_00_00_11;
        float[] elements = Decode(WeightFormat.Q6_K, block, 256);

        // Element 5 of runs 0 to 3 of the first half: sub-blocks 0, 2, 4, 6 with scales 1, 3, 5, 7.
        Assert.Equal(0.5f * 1 * ((1 << 4) + 6 - 32), elements[5]);
        Assert.Equal(0.5f * 3 * ((2 << 4) + 11 - 32), elements[32 + 5]);
        Assert.Equal(0.5f * 5 * ((3 << 4) + 9 - 32), elements[64 + 5]);
        Assert.Equal(0.5f * 7 * ((0 << 4) + 4 - 32), elements[96 + 5]);

        // Element 31 of runs 0 and 2 of the second half: sub-blocks 9 (scale -3) and 13.
        Assert.Equal(0.5f * -3 * ((3 << 4) + 15 - 32), elements[128 + 31]);
        Assert.Equal(0.5f * 14 * ((0 << 4) + 7 - 32), elements[128 + 64 + 31]);
        Assert.Equal(0.5f * 16 * ((1 << 4) + 0 - 32), elements[128 + 96 + 31]);
    }

    // d = 1, dmin = 0.5; scales 5, 63, 45, 19 and minima 4, 33, 62, 17 for sub-blocks 0, 1, 6, 7; the rest 0. The six bits of the later
    // ones are split: 45 = 2 * 16 + 13, 19 = 1 * 16 + 3, 62 = 3 * 16 + 14, 17 = 1 * 16 + 1.
    private static byte[] KBlock(int bytes)
    {
        var block = new byte[bytes];
        (block[0], block[1], block[2], block[3]) = (HalfOneLow, HalfOneHigh, 0, HalfHalfHigh);
        Span<byte> packed = block.AsSpan(4, 12);
        packed[0] = 5;
        packed[1] = 63;
        packed[4] = 4;
        packed[5] = 33;
        packed[2] = 2 << 6;
        packed[3] = 1 << 6;
        packed[6] = 3 << 6;
        packed[7] = 1 << 6;
        packed[10] = 13 | (14 << 4);
        packed[11] = 3 | (1 << 4);
        return block;
    }

    private static float[] Decode(WeightFormat format, byte[] bytes, int count)
    {
        var elements = new float[count];
        BlockCodec.Dequantize(format, bytes, elements);
        return elements;
    }
}
