using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Tests.Cpu;

/// <summary>Vectors must convert to and from half precision and bfloat16 to the very bits that scalars do.</summary>
public unsafe class NarrowingTests
{
    private static readonly SimdPath[] Paths = [SimdPath.Vector128, SimdPath.Vector256, SimdPath.Vector512];

    public static TheoryData<string> Widths => [.. Paths.Where(SimdPaths.IsSupported).Select(path => path.ToString())];

    [Theory]
    [MemberData(nameof(Widths))]
    public void Half_precision_must_round_as_scalars_do(string width) =>
        AssertNarrows(width, Numbers(), toHalf: true, value => BitConverter.HalfToUInt16Bits((Half)value));

    [Theory]
    [MemberData(nameof(Widths))]
    public void Bf16_must_round_as_scalars_do(string width) => AssertNarrows(width, Numbers(), toHalf: false, Bf16.FromSingle);

    [Theory]
    [MemberData(nameof(Widths))]
    public void Finite_halves_must_widen_exactly(string width)
    {
        ushort[] halves = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits).Where(bits => Half.IsFinite(BitConverter.UInt16BitsToHalf(bits)))];
        (float[] elements, float[] scales) = Enum.Parse<SimdPath>(width) switch
        {
            SimdPath.Vector512 => Widen<Lanes512, Vector512<float>>(halves),
            SimdPath.Vector256 => Widen<Lanes256, Vector256<float>>(halves),
            _ => Widen<Lanes128, Vector128<float>>(halves),
        };
        float[] expected = [.. halves.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits))];
        Assert.Equal(Bits(expected), Bits(elements));
        Assert.Equal(Bits(expected), Bits(scales));
    }

    private static uint[] Bits(float[] numbers) => [.. numbers.Select(BitConverter.SingleToUInt32Bits)];

    // Every half and the middle between it and the next, with both neighbours of either; every bfloat16 with the rests around its middle.
    // Infinities, NaNs with payloads, subnormals and the largest numbers are among them.
    private static float[] Numbers()
    {
        List<float> numbers = [];
        for (int bits = 0; bits < 1 << 16; bits++)
        {
            Half half = BitConverter.UInt16BitsToHalf((ushort)bits);
            float number = (float)half, middle = (number + (float)Half.BitIncrement(half)) / 2;
            foreach (float at in new[] { number, middle })
                numbers.AddRange([MathF.BitDecrement(at), at, MathF.BitIncrement(at)]);
            foreach (uint rest in new uint[] { 0, 1, 0x1FFF, 0x2000, 0x7FFF, 0x8000, 0x8001, 0xFFFF })
                numbers.Add(BitConverter.UInt32BitsToSingle(((uint)bits << 16) | rest));
        }

        numbers.AddRange([65519.996f, 65520, -65520, float.MaxValue, float.Epsilon, -0f]);
        while (numbers.Count % Vector512<float>.Count != 0)
            numbers.Add(0);
        return [.. numbers];
    }

    private static void AssertNarrows(string width, float[] numbers, bool toHalf, Func<float, ushort> scalar)
    {
        ushort[] actual = Enum.Parse<SimdPath>(width) switch
        {
            SimdPath.Vector512 => Narrow<Lanes512, Vector512<float>>(numbers, toHalf),
            SimdPath.Vector256 => Narrow<Lanes256, Vector256<float>>(numbers, toHalf),
            _ => Narrow<Lanes128, Vector128<float>>(numbers, toHalf),
        };
        for (int i = 0; i < numbers.Length; i++)
        {
            ushort expected = scalar(numbers[i]);
            if (expected != actual[i])
                Assert.Fail($"{BitConverter.SingleToUInt32Bits(numbers[i]):X8} became {actual[i]:X4}, not {expected:X4}");
        }
    }

    private static ushort[] Narrow<TS, TV>(float[] numbers, bool toHalf)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        var narrow = new ushort[numbers.Length];
        fixed (float* from = numbers)
        fixed (ushort* to = narrow)
        {
            for (int i = 0; i < numbers.Length; i += TS.Count)
            {
                if (toHalf)
                    TS.StoreHalf(to + i, TS.Load(from + i));
                else
                    TS.StoreBf16(to + i, TS.Load(from + i));
            }
        }

        return narrow;
    }

    private static (float[] Elements, float[] Scales) Widen<TS, TV>(ushort[] halves)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        float[] elements = new float[halves.Length], scales = new float[halves.Length];
        fixed (ushort* from = halves)
        fixed (float* element = elements)
        fixed (float* scale = scales)
        {
            for (int i = 0; i < halves.Length; i += TS.Count)
            {
                TS.Store(element + i, TS.LoadFiniteHalf(from + i));
                TS.Store(scale + i, TS.LoadScale(from + i));
            }
        }

        return (elements, scales);
    }
}
