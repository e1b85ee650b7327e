using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>The bits of a row's result must not depend on the batch around it, on how a sequence is cut, nor on the number of threads.</summary>
public class BatchInvariance
{
    private const int MostRows = 33;
    private const int MostThreads = 4;

    public static TheoryData<string, WeightFormat> Formats => new EveryDeviceWith<WeightFormat>();

    public static TheoryData<string, KvFormat> KvFormats => new EveryDeviceWith<KvFormat>();

    [Theory]
    [MemberData(nameof(Formats))]
    public void Linear_must_not_depend_on_the_batch(string name, WeightFormat format)
    {
        // The outputs are no multiple of any tile; an odd number of columns where the format has one, else whole blocks.
        foreach ((int outputs, int columns) in format.ElementsPerBlock() == 1 ? new[] { (131, 257), (67, 512) } : [(131, 512)])
        {
            using var memory = new WeightMemory(format, outputs, columns, Values.Normal(outputs * columns, seed: 1));
            float[] x = Values.Normal(MostRows * columns, seed: 2);
            AssertRowsAreInvariant(name, x, columns, (device, part, rows) =>
            {
                using WeightMatrix weights = device.LoadMatrix(memory.Data);
                using DeviceTensor input = device.Tensor(rows, columns, part), output = device.Allocate(rows, outputs);
                device.Linear(weights, input, rows, output);
                return output.Read(rows);
            });
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void RmsNorm_must_not_depend_on_the_batch(string name)
    {
        const int Columns = 1003;
        float[] gain = Values.Normal(Columns, seed: 3), x = Values.Normal(MostRows * Columns, seed: 4);
        AssertRowsAreInvariant(name, x, Columns, (device, part, rows) =>
        {
            using DeviceTensor weights = device.Tensor(1, Columns, gain), tensor = device.Tensor(rows, Columns, part);
            device.RmsNorm(tensor, weights, 1e-5f, rows, tensor);
            return tensor.Read(rows);
        });
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void SwiGlu_must_not_depend_on_the_batch(string name)
    {
        const int Columns = 1003;
        float[] x = Values.Normal(MostRows * Columns, seed: 5, deviation: 5);
        AssertRowsAreInvariant(name, x, Columns, (device, part, rows) =>
        {
            using DeviceTensor gate = device.Tensor(rows, Columns, part), up = device.Tensor(rows, Columns, part), output = device.Allocate(rows, Columns);
            device.SwiGlu(gate, up, rows, output);
            return output.Read(rows);
        });
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Rotation_must_not_depend_on_the_batch(string name)
    {
        const int HeadDim = 80, Columns = 4 * HeadDim;
        float[] x = Values.Normal(MostRows * Columns, seed: 6), frequencies = Values.Uniform(HeadDim, seed: 7);
        AssertRowsAreInvariant(name, x, Columns, (device, part, rows) =>
        {
            // The last row is always at the same position, so every row is.
            var ragged = new RaggedBatch(rows, 1, 3);
            ragged.Add(MostRows - rows, new int[rows], [0, 1, 2]);
            using DeviceBatch batch = device.AllocateBatch(rows, 1, 3);
            batch.Load(ragged);
            using KvCache cache = device.AllocateKv(new KvShape(1, 3, 4, HeadDim, KvFormat.F32));
            using DeviceTensor f = device.Tensor(2, HeadDim / 2, frequencies), angles = device.Allocate(rows, HeadDim);
            using DeviceTensor query = device.Tensor(rows, Columns, part), key = device.Tensor(rows, Columns, part), value = device.Tensor(rows, Columns, part);
            device.RopeAngles(f, batch, angles);
            device.RopeAndAppendKv(query, key, value, angles, RopePairing.Halves, cache, 0, batch);
            return query.Read(rows);
        });
    }

    [Theory]
    [MemberData(nameof(KvFormats))]
    public void Attention_must_not_depend_on_chunks_neighbours_or_threads(string name, KvFormat format)
    {
        // Long enough for more than one span of the context, in blocks that do not follow each other.
        const int Length = 600;
        var shape = new KvShape(Layers: 1, Blocks: 80, KvHeads: 2, HeadDim: format == KvFormat.Q8_0 ? 32 : 24, format);
        int[] table = [.. Enumerable.Range(0, 38).Select(i => i * 2 % 79)], other = [79, 77];
        float[] whole = Run(threads: 1, chunk: Length, neighbour: false);
        for (int threads = 1; threads <= MostThreads; threads++)
        {
            foreach (int chunk in new[] { 1, 7, 64, 512, Length })
                Assert.Equal(whole.Bits(), Run(threads, chunk, neighbour: chunk != 1).Bits());
        }

        float[] Run(int threads, int chunk, bool neighbour)
        {
            using ComputeDevice device = DevicesUnderTest.Create(name, threads);
            using var run = new AttentionRun(device, shape, group: 2);
            List<float> outputs = [];
            for (int first = 0; first < Length; first += chunk)
            {
                int count = Math.Min(chunk, Length - first), before = neighbour ? 3 : 0;
                float[] output = run.Step((0, before, other), (first, count, table));
                outputs.AddRange(output[^(count * 4 * shape.HeadDim)..]);
            }

            return [.. outputs];
        }
    }

    [Theory]
    [MemberData(nameof(KvFormats))]
    public void Attention_must_not_depend_on_the_number_of_rows(string name, KvFormat format)
    {
        // Rows that end in the second span, alone and with up to 32 before them, so that each stands at every place of every tile.
        const int Length = 650;
        int[] table = [.. Enumerable.Range(0, 41).Select(i => i * 5 % 41)];
        foreach (int group in new[] { 1, 3, 4 })
        {
            var shape = new KvShape(Layers: 1, Blocks: 41, KvHeads: 1, HeadDim: format == KvFormat.Q8_0 ? 64 : 40, format);
            uint[]? expected = null;
            for (int threads = 1; threads <= MostThreads; threads++)
            {
                using ComputeDevice device = DevicesUnderTest.Create(name, threads);
                using var run = new AttentionRun(device, shape, group);
                uint[] whole = run.Step((0, Length, table)).Bits();
                expected ??= whole;
                Assert.Equal(expected, whole);
                for (int rows = 1; rows <= MostRows; rows++)
                {
                    uint[] actual = run.Step((Length - rows, rows, table)).Bits();
                    Assert.Equal(expected[^actual.Length..], actual);
                }
            }
        }
    }

    // Runs the last 1, 2, ... 33 rows on 1 to 4 threads: each row then stands at every place of a batch.
    private static void AssertRowsAreInvariant(string name, float[] x, int columns, Func<ComputeDevice, float[], int, float[]> operation)
    {
        uint[]? expected = null;
        for (int threads = 1; threads <= MostThreads; threads++)
        {
            using ComputeDevice device = DevicesUnderTest.Create(name, threads);
            expected ??= operation(device, x, MostRows).Bits();
            for (int rows = 1; rows <= MostRows; rows++)
            {
                uint[] actual = operation(device, x[^(rows * columns)..], rows).Bits();
                Assert.Equal(expected[^actual.Length..], actual);
            }
        }
    }
}
