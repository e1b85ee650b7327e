using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>Rotation, the paged cache and attention, on every device against the reference.</summary>
public class ConformanceAttention
{
    private static readonly int[] HeadDims = [16, 32, 64, 80, 128];

    public static TheoryData<string, KvFormat> Formats => new EveryDeviceWith<KvFormat>();

    public static TheoryData<string, RopePairing> Pairings => new EveryDeviceWith<RopePairing>();

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void RopeAngles_must_match_the_reference_at_far_positions(string name)
    {
        const int Half = 20;
        float[] leading = [.. Enumerable.Range(0, Half).Select(j => (float)Math.Pow(500000, -j / (double)Half))];
        float[] rest = [.. leading.Select((f, j) => (float)(Math.Pow(500000, -j / (double)Half) - f))];
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var reference = new ReferenceDevice();

        // Both round sine and cosine of the same double: they may differ by the double's own last place.
        float[] expected = Angles(reference), actual = Angles(device);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(actual[i], expected[i] - 6e-8, expected[i] + 6e-8);

        float[] Angles(ComputeDevice on)
        {
            var rows = new RaggedBatch(3, 2, 8200);
            rows.Add(1, [1, 2], [0]);
            rows.Add(131_071, [3], new int[8192]);
            using DeviceBatch batch = on.AllocateBatch(3, 2, 8200);
            batch.Load(rows);
            using DeviceTensor frequencies = on.Tensor(2, Half, [.. leading, .. rest]), angles = on.Allocate(3, 2 * Half);
            on.RopeAngles(frequencies, batch, angles);
            return angles.Read(3);
        }
    }

    [Theory]
    [MemberData(nameof(Pairings))]
    public void Rotation_must_match_the_reference(string name, RopePairing pairing)
    {
        foreach (int headDim in HeadDims)
        {
            float[][] expected = Rotated(new ReferenceDevice(), headDim, pairing), actual = Rotated(DevicesUnderTest.Create(name), headDim, pairing);
            for (int tensor = 0; tensor < expected.Length; tensor++)
            {
                // Two products below 2 and their sum, each rounded once.
                for (int i = 0; i < expected[tensor].Length; i++)
                    Assert.InRange(actual[tensor][i], expected[tensor][i] - 4e-7, expected[tensor][i] + 4e-7);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Attention_must_match_the_reference(string name, KvFormat format)
    {
        foreach (int headDim in HeadDims.Where(headDim => IsCached(format, headDim)))
        {
            foreach (int group in new[] { 1, 2, 4, 8 })
            {
                var shape = new KvShape(Layers: 2, Blocks: 64, KvHeads: headDim == 16 ? 3 : 2, headDim, format);
                AssertClose(name, shape, Attended(new ReferenceDevice(), shape, group), Attended(DevicesUnderTest.Create(name), shape, group));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Attention_over_long_contexts_must_match_the_reference(string name, KvFormat format)
    {
        var shape = new KvShape(Layers: 1, Blocks: 100, KvHeads: 1, HeadDim: format == KvFormat.Q8_0 ? 32 : 16, format);
        AssertClose(name, shape, Decoded(new ReferenceDevice()), Decoded(DevicesUnderTest.Create(name)));

        float[] Decoded(ComputeDevice owned)
        {
            using ComputeDevice device = owned;
            using var run = new AttentionRun(device, shape, group: 2);
            int[] table = [.. Enumerable.Range(0, 90).Select(i => (i * 37 + 5) % 100)];
            run.Step((0, 700, table));
            return run.Step((700, 530, table[..80]), (1230, 0, table)).Concat(run.Step((1230, 1, table))).ToArray();
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_first_token_must_attend_to_its_own_stored_value_exactly(string name, KvFormat format)
    {
        int headDim = format == KvFormat.Q8_0 ? 96 : 80;
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var run = new AttentionRun(device, new KvShape(1, 4, 2, headDim, format), group: 2);
        float[] output = run.Step((0, 1, [3]));
        float[] stored = format switch
        {
            KvFormat.F32 => run.LastValues,
            KvFormat.F16 => [.. run.LastValues.Select(value => (float)(Half)value)],
            KvFormat.BF16 => [.. run.LastValues.Select(value => Bf16.ToSingle(Bf16.FromSingle(value)))],
            _ => Quantized(run.LastValues),
        };
        float[] first = stored[..headDim], second = stored[headDim..], expected = [.. first, .. first, .. second, .. second];
        Assert.Equal(expected, output);
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Attention_must_not_read_beyond_a_row_s_position(string name)
    {
        // Positions after the row hold NaNs from an earlier owner of the block.
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var run = new AttentionRun(device, new KvShape(1, 2, 1, 32, KvFormat.F32), group: 1);
        run.Poison([1]);
        Assert.All(run.Step((0, 3, [1])), value => Assert.True(float.IsFinite(value)));
        Assert.All(run.Step((3, 5, [1])), value => Assert.True(float.IsFinite(value)));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Numbers_that_are_not_finite_must_reach_the_rows_that_see_them_and_no_others(string name, KvFormat format)
    {
        // One tile's rows share loads and weights; those of earlier rows must not meet a later one's NaN, not even times 0.
        const int Rows = 40, Spoilt = 21;
        foreach (int group in new[] { 1, 3, 4 })
        {
            using ComputeDevice device = DevicesUnderTest.Create(name);
            using var run = new AttentionRun(device, new KvShape(1, 3, 1, 32, format), group);
            float[] sound = run.Step((0, Rows, [0, 1, 2]));
            run.Spoilt = (Spoilt, float.NaN, 32);
            float[] spoilt = run.Step((0, Rows, [0, 1, 2]));
            int border = Spoilt * group * 32;
            Assert.Equal(sound[..border].Bits(), spoilt[..border].Bits());
            Assert.All(spoilt[border..], value => Assert.True(float.IsNaN(value)));
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void What_overflows_half_precision_must_be_infinite(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (int headDim in new[] { 32, 30 })
        {
            using var run = new AttentionRun(device, new KvShape(1, 1, 1, headDim, KvFormat.F16), group: 1);
            run.Spoilt = (0, 65519, 1);
            Assert.All(run.Step((0, 1, [0])), value => Assert.Equal(65504, value));
            run.Spoilt = (0, 65520, 1);
            Assert.All(run.Step((0, 1, [0])), value => Assert.False(float.IsFinite(value)));
        }
    }

    [Fact]
    public void What_overflows_the_scale_of_eight_bits_must_be_a_NaN()
    {
        foreach (ComputeDevice owned in DevicesUnderTest.Names.Select(name => DevicesUnderTest.Create(name)).Append(new ReferenceDevice()))
        {
            using ComputeDevice device = owned;
            using var run = new AttentionRun(device, new KvShape(1, 1, 1, 32, KvFormat.Q8_0), group: 1);
            foreach (float element in new[] { 1e30f, float.PositiveInfinity, float.NaN })
            {
                run.Spoilt = (0, element, 1);
                Assert.All(run.Step((0, 1, [0])), value => Assert.True(float.IsNaN(value)));
            }
        }
    }

    [Fact]
    public void Heads_of_broken_groups_must_be_refused_with_eight_bits()
    {
        using var cpu = new CpuDevice(1);
        using var reference = new ReferenceDevice();
        foreach (ComputeDevice device in new ComputeDevice[] { cpu, reference })
        {
            var error = Assert.Throws<ArgumentException>(() => device.AllocateKv(new KvShape(1, 4, 2, 80, KvFormat.Q8_0)));
            Assert.Contains("32 elements, not of 80", error.Message);
        }
    }

    private static bool IsCached(KvFormat format, int headDim) => format != KvFormat.Q8_0 || headDim % KvShape.ScaleGroup == 0;

    private static float[] Quantized(float[] values)
    {
        using var memory = new WeightMemory(WeightFormat.Q8_0, 1, values.Length, values);
        return memory.Decoded();
    }

    private static float[] Attended(ComputeDevice owned, KvShape shape, int group)
    {
        using ComputeDevice device = owned;
        using var run = new AttentionRun(device, shape, group);
        int[] a = [5, 2, 60], b = [63, 0, 7, 8, 1], c = [9, 33];
        List<float> outputs = [];
        outputs.AddRange(run.Step((0, 5, a), (0, 37, b)));
        outputs.AddRange(run.Step((5, 1, a), (37, 20, b), (0, 16, c)));
        outputs.AddRange(run.Step((6, 1, a), (57, 1, b), (16, 1, c)));
        outputs.AddRange(run.Step((7, 33, a)));
        return [.. outputs];
    }

    // Scores of heads drawn from [-1, 1) stay below 12; their float32 errors, and so the weights' relative ones, below 4e-6; values are
    // within [-1, 1). Keys and values are stored alike everywhere: the angles of these tests are zero.
    private static void AssertClose(string name, KvShape shape, float[] expected, float[] actual)
    {
        double tolerance = Accuracy.IsRounded(name, shape.Format, shape.HeadDim) ? Accuracy.OfRoundedAttention(shape.Format) : 5e-6;
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(actual[i], expected[i] - tolerance, expected[i] + tolerance);
    }

    private static float[][] Rotated(ComputeDevice owned, int headDim, RopePairing pairing)
    {
        const int Rows = 5, KvHeads = 2, Heads = 6;
        using ComputeDevice device = owned;
        var rows = new RaggedBatch(Rows, 2, 4);
        rows.Add(14, [1, 1, 1], [3, 1]);
        rows.Add(0, [1, 1], [0]);
        using DeviceBatch batch = device.AllocateBatch(Rows, 2, 4);
        batch.Load(rows);
        using KvCache cache = device.AllocateKv(new KvShape(1, 4, KvHeads, headDim, KvFormat.F16));
        float[] frequencies = [.. Enumerable.Range(0, headDim / 2).Select(j => (float)Math.Pow(10000, -2.0 * j / headDim))];
        using DeviceTensor f = device.Tensor(2, headDim / 2, [.. frequencies, .. new float[headDim / 2]]), angles = device.Allocate(Rows, headDim);
        using DeviceTensor query = device.Tensor(Rows, Heads * headDim, Values.Uniform(Rows * Heads * headDim, seed: 1));
        using DeviceTensor key = device.Tensor(Rows, KvHeads * headDim, Values.Uniform(Rows * KvHeads * headDim, seed: 2));
        using DeviceTensor value = device.Tensor(Rows, KvHeads * headDim, Values.Uniform(Rows * KvHeads * headDim, seed: 3));
        device.RopeAngles(f, batch, angles);
        device.RopeAndAppendKv(query, key, value, angles, pairing, cache, 0, batch);
        return [query.Read(Rows), key.Read(Rows), value.Read(Rows)];
    }
}
