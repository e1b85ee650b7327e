using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>Operations that read weights, on every device against the reference.</summary>
public class ConformanceLinear
{
    // Half a unit in the last place of float32: what one rounding may change.
    private const double Rounding = 1.0 / (1 << 24);

    private static readonly int[] Looked = [18, 0, 7, 7, 1];

    public static TheoryData<string, WeightFormat> Formats => new EveryDeviceWith<WeightFormat>();

    [Theory]
    [MemberData(nameof(Formats))]
    public void Linear_must_match_the_reference(string name, WeightFormat format)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (int columns in ColumnsOf(format))
        {
            foreach ((int outputs, int rows) in new[] { (1, 1), (3, 2), (37, 1), (37, 6), (130, 5), (4, 33) })
                CheckLinear(name, device, format, outputs, columns, rows);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Linear_must_take_weights_at_any_address(string name, WeightFormat format)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        for (int offset = 0; offset < 8; offset++)
        {
            CheckLinear(name, device, format, outputs: 5, columns: 256, rows: 1, offset);
            CheckLinear(name, device, format, outputs: 5, columns: 256, rows: 3, offset);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Linear_must_leave_rows_beyond_the_count_alone(string name, WeightFormat format)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var memory = new WeightMemory(format, 6, 256, Values.Normal(6 * 256, seed: 4));
        using WeightMatrix weights = device.LoadMatrix(memory.Data);
        using DeviceTensor input = device.Tensor(4, 256, Values.Normal(4 * 256, seed: 5));
        float[] untouched = Values.Normal(4 * 6, seed: 6);
        using DeviceTensor output = device.Tensor(4, 6, untouched);
        device.Linear(weights, input, 3, output);
        Assert.Equal(untouched[(3 * 6)..], output.Read(4)[(3 * 6)..]);
        Assert.NotEqual(untouched[..(3 * 6)], output.Read(3));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Linear_must_keep_what_is_not_finite_in_its_row(string name, WeightFormat format)
    {
        const int Outputs = 5, Columns = 256, Rows = 5;
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var memory = new WeightMemory(format, Outputs, Columns, Values.Normal(Outputs * Columns, seed: 7));
        float[] x = Values.Normal(Rows * Columns, seed: 8);
        float[] expected = Multiply(device, memory, x, Rows);
        (x[Columns + 3], x[(3 * Columns) + 255]) = (float.NaN, float.PositiveInfinity);
        x.AsSpan(4 * Columns).Clear();
        float[] actual = Multiply(device, memory, x, Rows);
        foreach (int finite in new[] { 0, 2 })
            Assert.Equal(expected[(finite * Outputs)..((finite + 1) * Outputs)].Bits(), actual[(finite * Outputs)..((finite + 1) * Outputs)].Bits());
        Assert.All(actual[Outputs..(2 * Outputs)], value => Assert.True(float.IsNaN(value)));
        Assert.All(actual[(3 * Outputs)..(4 * Outputs)], value => Assert.False(float.IsFinite(value)));
        Assert.All(actual[(4 * Outputs)..], value => Assert.Equal(0, value));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Embed_must_give_the_decoded_rows_exactly(string name, WeightFormat format)
    {
        const int Vocabulary = 19;
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (int columns in ColumnsOf(format))
        {
            using var memory = new WeightMemory(format, Vocabulary, columns, Values.Normal(Vocabulary * columns, seed: columns));
            using WeightMatrix table = device.LoadMatrix(memory.Data);
            using DeviceTensor output = device.Allocate(5, columns);
            var rows = new RaggedBatch(5, 2, 2);
            rows.Add(0, Looked.AsSpan(0, 3), [0]);
            rows.Add(3, Looked.AsSpan(3), [1]);
            using DeviceBatch batch = device.AllocateBatch(5, 2, 2);
            batch.Load(rows);
            device.Embed(table, batch, output);

            float[] decoded = memory.Decoded();
            float[] expected = [.. Looked.SelectMany(token => decoded[(token * columns)..((token + 1) * columns)])];
            Assert.Equal(expected.Bits(), output.Read(5).Bits());
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void LoadVector_must_give_the_decoded_row_exactly(string name, WeightFormat format)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (int columns in ColumnsOf(format))
        {
            using var memory = new WeightMemory(format, 1, columns, Values.Normal(columns, seed: columns));
            using DeviceTensor vector = device.LoadVector(memory.Data);
            Assert.Equal(1, vector.Rows);
            Assert.Equal(memory.Decoded().Bits(), vector.Read(1).Bits());
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Every_half_precision_pattern_must_decode_exactly(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (WeightFormat format in new[] { WeightFormat.F16, WeightFormat.BF16 })
        {
            using var memory = new WeightMemory(format, 1, 1 << 16, new float[1 << 16]);
            unsafe
            {
                for (int i = 0; i < 1 << 16; i++)
                    ((ushort*)memory.Data.Address)[i] = (ushort)i;
            }

            using DeviceTensor vector = device.LoadVector(memory.Data);
            float[] expected = memory.Decoded(), actual = vector.Read(1);
            for (int i = 0; i < expected.Length; i++)
            {
                // Which NaN a NaN becomes is nobody's business.
                if (!float.IsNaN(expected[i]) || !float.IsNaN(actual[i]))
                    Assert.Equal(BitConverter.SingleToUInt32Bits(expected[i]), BitConverter.SingleToUInt32Bits(actual[i]));
            }
        }
    }

    private static int[] ColumnsOf(WeightFormat format) => format.ElementsPerBlock() switch
    {
        1 => [1, 7, 33, 80, 255, 512],
        32 => [32, 96, 512],
        _ => [256, 768],
    };

    // On the processor, activations count in whole steps if weights are quantized: by weights of eight bits in 32767 steps of the row's largest, by smaller
    // ones in 127 steps of the largest of sixteen. The quotient may have been rounded across the half.
    private static double HalfStepOf(string name, WeightFormat format) => format switch
    {
        _ when !name.StartsWith("cpu", StringComparison.Ordinal) => 0,
        WeightFormat.Q8_0 => 0.505 / short.MaxValue,
        _ when format.ElementsPerBlock() > 1 => 0.505 / sbyte.MaxValue,
        _ => 0,
    };

    private static void CheckLinear(string name, ComputeDevice device, WeightFormat format, int outputs, int columns, int rows, int offset = 2)
    {
        using var reference = new ReferenceDevice();
        using var memory = new WeightMemory(format, outputs, columns, Values.Normal(outputs * columns, seed: outputs + columns), offset);
        float[] x = Values.Normal(rows * columns, seed: rows), w = memory.Decoded();
        float[] expected = Multiply(reference, memory, x, rows), actual = Multiply(device, memory, x, rows);

        for (int r = 0; r < rows; r++)
        {
            for (int o = 0; o < outputs; o++)
            {
                // Every product and every sum rounds once, on terms that together are at most sum |w x|: fewer roundings lie on the way
                // of any one term than there are columns and lanes to add.
                double magnitude = 0, squares = 0, weight = 0, largest = 0;
                for (int i = 0; i < columns; i++)
                {
                    double product = w[(o * columns) + i] * (double)x[(r * columns) + i];
                    magnitude += Math.Abs(product);
                    squares += product * product;
                    weight += Math.Abs(w[(o * columns) + i]);
                    largest = Math.Max(largest, Math.Abs(x[(r * columns) + i]));
                }

                double tolerance = Accuracy.IsRounded(name, format, columns)
                    ? Accuracy.OfRoundedProduct(format, squares, magnitude)
                    : (((columns / 4) + 8) * Rounding * magnitude) + (HalfStepOf(name, format) * largest * weight);
                Assert.InRange(actual[(r * outputs) + o], expected[(r * outputs) + o] - tolerance, expected[(r * outputs) + o] + tolerance);
            }
        }
    }

    private static float[] Multiply(ComputeDevice device, WeightMemory memory, float[] x, int rows)
    {
        using WeightMatrix weights = device.LoadMatrix(memory.Data);
        using DeviceTensor input = device.Tensor(rows, memory.Data.Columns, x);
        using DeviceTensor output = device.Allocate(rows, memory.Data.Rows);
        device.Linear(weights, input, rows, output);
        return output.Read(rows);
    }
}
