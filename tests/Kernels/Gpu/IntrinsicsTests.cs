using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>The kernels' own arithmetic, on the host: it is plain C#, and its bits are the same everywhere.</summary>
public class IntrinsicsTests
{
    [Fact]
    public void Every_half_must_convert_exactly_and_back()
    {
        for (uint bits = 0; bits <= ushort.MaxValue; bits++)
        {
            var half = BitConverter.UInt16BitsToHalf((ushort)bits);
            float single = HalfBits.ToSingle(bits);
            if (Half.IsNaN(half))
            {
                Assert.True(float.IsNaN(single));
                continue;
            }

            Assert.Equal(BitConverter.SingleToUInt32Bits((float)half), BitConverter.SingleToUInt32Bits(single));
            Assert.Equal(bits, HalfBits.FromSingle(single));
        }
    }

    [Fact]
    public void Singles_must_round_to_the_nearest_half_and_bfloat16()
    {
        var random = new Random(1);
        for (int i = 0; i < 300_000; i++)
        {
            float x = BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32));
            if (float.IsNaN(x))
                continue;
            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)x), HalfBits.FromSingle(x));
            Assert.Equal(Bf16.FromSingle(x), HalfBits.ToBrain(x));
        }

        // Ties, and the borders of the subnormals and of the range.
        foreach (float x in new[] { 65519.99f, 65520f, 2049f, 2051f, 6.1035156e-5f, 6.097555e-5f, 5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, -0f })
            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)x), HalfBits.FromSingle(x));
        Assert.True(Half.IsNaN(BitConverter.UInt16BitsToHalf((ushort)HalfBits.FromSingle(float.NaN))));
        Assert.True(float.IsNaN(HalfBits.LowBrain(HalfBits.ToBrain(float.NaN))));
    }

    [Fact]
    public void Exp_must_be_within_two_units_in_the_last_place()
    {
        for (double x = -87.2; x < 88.7; x += 0.00137)
        {
            float given = (float)x;
            double expected = Math.Exp(given);
            Assert.InRange(FloatMath.Exp(given) / expected, 1 - (2 * 1.2e-7), 1 + (2 * 1.2e-7));
        }

        Assert.Equal(1f, FloatMath.Exp(0f));
        Assert.Equal(0f, FloatMath.Exp(float.NegativeInfinity));
        Assert.Equal(0f, FloatMath.Exp(-1000f));
        Assert.Equal(float.PositiveInfinity, FloatMath.Exp(89f));
        Assert.Equal(float.PositiveInfinity, FloatMath.Exp(float.PositiveInfinity));
        Assert.True(float.IsNaN(FloatMath.Exp(float.NaN)));
    }

    [Fact]
    public void Rotors_must_be_exact_to_a_unit_in_the_last_place_at_any_position()
    {
        var random = new Random(2);
        for (int i = 0; i < 100_000; i++)
        {
            double frequency = Math.Pow(500_000, -random.NextDouble());
            float leading = (float)frequency, rest = (float)(frequency - leading);
            int position = random.Next(1 << 20);
            (double sin, double cos) = Math.SinCos(position * ((double)leading + rest));
            Rotor rotor = Turns.Rotor((Turns.Of(leading) + Turns.Of(rest)) * (ulong)position);
            Assert.InRange(rotor.Cos, cos - 9e-8, cos + 9e-8);
            Assert.InRange(rotor.Sin, sin - 9e-8, sin + 9e-8);
        }

        Assert.Equal((1f, 0f), (Turns.Rotor(0).Cos, Turns.Rotor(0).Sin));
        Assert.Equal(0UL, Turns.Of(0f));
        Assert.Equal(0UL, Turns.Of(1f) + Turns.Of(-1f));
    }
}
