using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>Operations on whole rows and single elements, on every device against the reference.</summary>
public class ConformanceElementwise
{
    private static readonly int[] Widths = [1, 5, 16, 80, 259, 4099];
    private static readonly int[] Wanted = [2, 3, 7];

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void RmsNorm_must_match_the_reference(string name)
    {
        foreach (int columns in Widths)
        {
            float[] x = Values.Normal(3 * columns, seed: columns), gain = Values.Normal(columns, seed: 2);
            float[] expected = Norm(new ReferenceDevice(), inPlace: false), actual = Norm(DevicesUnderTest.Create(name), inPlace: false);

            // The sum of squares has only positive terms: each takes at most columns / 4 roundings, and the root halves their weight.
            double relative = (columns / 4 + 8) / (double)(1 << 24);
            AssertClose(expected, actual, e => relative * Math.Abs(e));
            Assert.Equal(actual.Bits(), Norm(DevicesUnderTest.Create(name), inPlace: true).Bits());

            float[] Norm(ComputeDevice owned, bool inPlace)
            {
                using ComputeDevice device = owned;
                using var memory = new WeightMemory(WeightFormat.F32, 1, columns, gain);
                using DeviceTensor weights = device.LoadVector(memory.Data);
                using DeviceTensor input = device.Tensor(3, columns, x), output = device.Allocate(3, columns);
                device.RmsNorm(input, weights, 1e-5f, 3, inPlace ? input : output);
                return (inPlace ? input : output).Read(3);
            }
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void RmsNorm_must_use_epsilon(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using DeviceTensor input = device.Tensor(1, 4, [0, 0, 0, 0]), gain = device.Tensor(1, 4, [1, 1, 1, 1]);
        device.RmsNorm(input, gain, 1e-5f, 1, input);
        Assert.Equal([0, 0, 0, 0], input.Read(1));
        input.Upload([0.01f, 0.01f, 0.01f, 0.01f]);
        device.RmsNorm(input, gain, 3e-4f, 1, input);
        Assert.Equal(0.5f, input.Read(1)[3], 6);
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void SwiGlu_must_match_the_reference(string name)
    {
        foreach (int columns in Widths)
        {
            float[] gate = Values.Normal(3 * columns, seed: columns, deviation: 10), up = Values.Normal(3 * columns, seed: 7);
            (gate[0], up[0]) = (-200, 1);
            (gate[1], up[1]) = (200, 1);
            float[] expected = Glu(new ReferenceDevice(), inPlace: false), actual = Glu(DevicesUnderTest.Create(name), inPlace: false);

            // A few roundings, an exponential within 2 units in the last place, and nothing worth a name below 1e-35.
            AssertClose(expected, actual, e => (6e-7 * Math.Abs(e)) + 1e-35);
            Assert.Equal(actual.Bits(), Glu(DevicesUnderTest.Create(name), inPlace: true).Bits());

            float[] Glu(ComputeDevice owned, bool inPlace)
            {
                using ComputeDevice device = owned;
                using DeviceTensor g = device.Tensor(3, columns, gate), u = device.Tensor(3, columns, up), output = device.Allocate(3, columns);
                device.SwiGlu(g, u, 3, inPlace ? g : output);
                return (inPlace ? g : output).Read(3);
            }
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Add_must_be_exact_and_keep_to_its_rows(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        foreach (int columns in Widths)
        {
            float[] a = Values.Normal(5 * columns, seed: 8), b = Values.Normal(5 * columns, seed: 9);
            using DeviceTensor accumulator = device.Tensor(5, columns, a), addend = device.Tensor(5, columns, b);
            device.Add(accumulator, addend, 4);
            float[] expected = [.. a.Zip(b, (x, y) => x + y).Take(4 * columns), .. a[(4 * columns)..]];
            Assert.Equal(expected.Bits(), accumulator.Read(5).Bits());
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void SelectLogitRows_must_gather_the_wanted_rows(string name)
    {
        const int Columns = 5000;
        using ComputeDevice device = DevicesUnderTest.Create(name);
        var rows = new RaggedBatch(8, 3, 3);
        rows.Add(0, [1, 2, 3], [0]);
        rows.Add(0, [4], [1]);
        rows.Add(2, [5, 6, 7, 8], [2]);
        foreach (int row in Wanted)
            rows.WantLogits(row);
        using DeviceBatch batch = device.AllocateBatch(8, 3, 3);
        batch.Load(rows);
        float[] x = Values.Normal(8 * Columns, seed: 1);
        using DeviceTensor input = device.Tensor(8, Columns, x), output = device.Allocate(4, Columns);
        device.SelectLogitRows(input, batch, output);
        float[] expected = [.. Wanted.SelectMany(row => x[(row * Columns)..((row + 1) * Columns)]), .. new float[Columns]];
        Assert.Equal(expected, output.Read(4));
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void ArgMax_must_match_the_reference(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var reference = new ReferenceDevice();
        foreach (int columns in Widths)
        {
            float[] x = Values.Normal(7 * columns, seed: columns);
            Assert.Equal(Find(reference), Find(device));

            int[] Find(ComputeDevice on)
            {
                using DeviceTensor logits = on.Tensor(7, columns, x);
                var indices = new int[7];
                on.ArgMax(logits, 7, indices);
                return indices;
            }
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void ArgMax_must_give_the_lowest_of_equals_wherever_they_lie(string name)
    {
        const int Columns = 71;
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using DeviceTensor logits = device.Allocate(1, Columns);
        var index = new int[1];
        for (int first = 0; first < Columns; first++)
        {
            var row = new float[Columns];
            row.AsSpan().Fill(-3);
            row.AsSpan(first).Fill(-1);
            row[^1] = first == Columns - 1 ? -1 : -2;
            logits.Upload(row);
            device.ArgMax(logits, 1, index);
            Assert.Equal(first, index[0]);
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void ArgMax_must_pass_over_nans(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);

        // Before and behind the maximum in the same lane, and in the last columns.
        float[] row = Values.Uniform(71, seed: 1);
        (row[1], row[17], row[33], row[70]) = (float.NaN, 2, float.NaN, float.NaN);
        using DeviceTensor logits = device.Tensor(1, 71, row);
        var index = new int[1];
        device.ArgMax(logits, 1, index);
        Assert.Equal(17, index[0]);
    }

    private static void AssertClose(float[] expected, float[] actual, Func<float, double> tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(actual[i], expected[i] - tolerance(expected[i]), expected[i] + tolerance(expected[i]));
    }
}
