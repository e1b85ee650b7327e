using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Formats;

public class BlockEncoderTests
{
    // Relative root mean square errors for normally distributed values: what uniform quantization with that many levels over the
    // block's range leaves, plus a tenth. The plain formats' bounds are half a unit in the last place of every element.
    [Theory]
    [InlineData(WeightFormat.F32, 0)]
    [InlineData(WeightFormat.F16, 0.0005)]
    [InlineData(WeightFormat.BF16, 0.004)]
    [InlineData(WeightFormat.Q8_0, 0.006)]
    [InlineData(WeightFormat.Q4_0, 0.095)]
    [InlineData(WeightFormat.Q4_K, 0.080)]
    [InlineData(WeightFormat.Q5_K, 0.040)]
    [InlineData(WeightFormat.Q6_K, 0.020)]
    public void Round_trip_must_stay_within_the_format_s_error(WeightFormat format, double bound)
    {
        float[] values = Values.Normal(16 * 256, seed: 1, deviation: 0.02f);
        using var memory = new WeightMemory(format, 16, 256, values);
        Assert.InRange(RelativeError(values, memory.Decoded()), 0, bound);
    }

    [Theory]
    [InlineData(WeightFormat.Q8_0)]
    [InlineData(WeightFormat.Q4_0)]
    [InlineData(WeightFormat.Q4_K)]
    [InlineData(WeightFormat.Q5_K)]
    [InlineData(WeightFormat.Q6_K)]
    public void Zeros_must_stay_zeros(WeightFormat format)
    {
        using var memory = new WeightMemory(format, 1, 256, new float[256]);
        Assert.All(memory.Decoded(), value => Assert.Equal(0, value));
    }

    [Theory]
    [InlineData(WeightFormat.Q4_K, 15)]
    [InlineData(WeightFormat.Q5_K, 31)]
    public void A_positive_sub_block_must_not_waste_levels_on_zero_crossing(WeightFormat format, int largest)
    {
        // Whole multiples of one step from 0 on: every sub-block's scale is the same, so the fit is exact.
        float[] values = [.. Enumerable.Range(0, 256).Select(i => (float)(i * 7 % (largest + 1)))];
        using var memory = new WeightMemory(format, 1, 256, values);
        Assert.InRange(RelativeError(values, memory.Decoded()), 0, 0.001);
    }

    [Theory]
    [InlineData(WeightFormat.Q8_0)]
    [InlineData(WeightFormat.Q4_0)]
    [InlineData(WeightFormat.Q4_K)]
    [InlineData(WeightFormat.Q5_K)]
    [InlineData(WeightFormat.Q6_K)]
    public void Quantizing_must_be_stable_for_tiny_and_one_sided_values(WeightFormat format)
    {
        foreach (float size in new[] { 1e-30f, 1e-6f, 1f, 1000f })
        {
            float[] values = [.. Values.Uniform(256, seed: 3).Select(v => size * (v - 1))];
            using var memory = new WeightMemory(format, 1, 256, values);
            float[] decoded = memory.Decoded();
            Assert.All(decoded, value => Assert.True(float.IsFinite(value) && Math.Abs(value) <= 2.1f * size));
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Quantized_formats_must_refuse_what_is_not_finite(float value)
    {
        var values = new float[256];
        values[77] = value;
        foreach (WeightFormat format in new[] { WeightFormat.Q8_0, WeightFormat.Q4_0, WeightFormat.Q4_K, WeightFormat.Q5_K, WeightFormat.Q6_K })
        {
            var bytes = new byte[format.RowBytes(256)];
            Assert.Contains("element 77", Assert.Throws<ArgumentException>(() => BlockEncoder.Quantize(format, values, bytes)).Message);
        }
    }

    [Fact]
    public void Elements_beyond_a_half_s_scale_must_be_refused()
    {
        float[] values = [.. Enumerable.Repeat(1e9f, 32)];
        Assert.Throws<ArgumentException>(() => BlockEncoder.Quantize(WeightFormat.Q8_0, values, new byte[34]));
    }

    [Theory]
    [InlineData(WeightFormat.F16)]
    [InlineData(WeightFormat.BF16)]
    public void Halves_must_keep_infinities_nans_and_signed_zeros(WeightFormat format)
    {
        float[] values = [float.PositiveInfinity, float.NegativeInfinity, float.NaN, -0f, 0f];
        using var memory = new WeightMemory(format, 1, values.Length, values);
        float[] decoded = memory.Decoded();
        Assert.Equal([float.PositiveInfinity, float.NegativeInfinity, float.NaN], decoded[..3]);
        Assert.Equal(values[3..].Bits(), decoded[3..].Bits());
    }

    [Fact]
    public void Bf16_must_round_to_nearest_even_and_overflow_to_infinity()
    {
        float one = BitConverter.UInt32BitsToSingle(0x3F800000);
        Assert.Equal(0x3F80, Bf16.FromSingle(one));
        Assert.Equal(0x3F80, Bf16.FromSingle(BitConverter.UInt32BitsToSingle(0x3F808000)));
        Assert.Equal(0x3F82, Bf16.FromSingle(BitConverter.UInt32BitsToSingle(0x3F818000)));
        Assert.Equal(0x3F81, Bf16.FromSingle(BitConverter.UInt32BitsToSingle(0x3F808001)));
        Assert.Equal(0x7F80, Bf16.FromSingle(float.MaxValue));
        Assert.True(float.IsNaN(Bf16.ToSingle(Bf16.FromSingle(BitConverter.UInt32BitsToSingle(0x7F800001)))));
    }

    [Theory]
    [InlineData(WeightFormat.Q8_0, 33)]
    [InlineData(WeightFormat.Q4_0, 16)]
    [InlineData(WeightFormat.Q4_K, 32)]
    [InlineData(WeightFormat.Q5_K, 255)]
    [InlineData(WeightFormat.Q6_K, 128)]
    [InlineData(WeightFormat.F32, 0)]
    public void Rows_of_part_blocks_must_be_refused(WeightFormat format, int columns)
    {
        Assert.Throws<ArgumentException>(() => BlockEncoder.Quantize(format, new float[columns], new byte[1024]));
        Assert.Throws<ArgumentException>(() => BlockCodec.Dequantize(format, new byte[1024], new float[columns]));
    }

    [Theory]
    [InlineData(WeightFormat.F32)]
    [InlineData(WeightFormat.F16)]
    [InlineData(WeightFormat.Q6_K)]
    public void Lengths_that_do_not_fit_each_other_must_be_refused(WeightFormat format)
    {
        int bytes = (int)format.RowBytes(256);
        Assert.Throws<ArgumentException>(() => BlockEncoder.Quantize(format, new float[256], new byte[bytes + 1]));
        Assert.Throws<ArgumentException>(() => BlockCodec.Dequantize(format, new byte[bytes - 1], new float[256]));
    }

    private static double RelativeError(float[] expected, float[] actual)
    {
        double error = expected.Zip(actual, (e, a) => Math.Pow(e - (double)a, 2)).Sum();
        return Math.Sqrt(error / expected.Sum(e => e * (double)e));
    }
}
