using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Cpu;

/// <summary>Rearranged weights: the same results, and memory that is accounted for.</summary>
public class RepackTests
{
    // Outputs that fill no whole panel; rows that make every tile, and more than one of the largest.
    private const int Outputs = 45, Columns = 512;

    private static readonly int[] RowCounts = [1, 2, 3, 4, 7, 8, 15, 16, 33, 47];

    public static TheoryData<WeightFormat> Formats => [.. Enum.GetValues<WeightFormat>()];

    [Theory]
    [MemberData(nameof(Formats))]
    public void Results_must_be_the_same_on_every_path_whether_weights_are_kept_rearranged_or_not(WeightFormat format)
    {
        using var memory = new WeightMemory(format, Outputs, Columns, Values.Normal(Outputs * Columns, seed: 1));
        foreach (int rows in RowCounts)
        {
            float[] x = Values.Normal(rows * Columns, seed: rows);
            uint[] expected = Multiply(memory, SimdPath.Vector128, Repack.Off, x, rows);
            foreach (SimdPath path in Enum.GetValues<SimdPath>().Where(SimdPaths.IsSupported))
            {
                foreach (Repack repack in Enum.GetValues<Repack>())
                    Assert.Equal(expected, Multiply(memory, path, repack, x, rows));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Memory_must_be_spent_only_on_weights_that_are_multiplied_by(WeightFormat format)
    {
        using var memory = new WeightMemory(format, 64, Columns, Values.Normal(64 * Columns, seed: 1));
        Assert.Equal(0, BytesOf(Repack.Off, WeightUse.Product));
        Assert.Equal(0, BytesOf(Repack.On, WeightUse.Lookup));
        foreach (WeightUse use in new[] { WeightUse.Product, WeightUse.LookupAndProduct })
            Assert.InRange(BytesOf(Repack.On, use), memory.Data.ByteCount * 9 / 10, memory.Data.ByteCount * 11 / 10);

        long BytesOf(Repack repack, WeightUse use)
        {
            using var device = new CpuDevice(1, repack);
            using WeightMatrix weights = device.LoadMatrix(memory.Data, use);
            return weights.DeviceBytes;
        }
    }

    [Theory]
    [InlineData(WeightFormat.F32)]
    [InlineData(WeightFormat.F16)]
    [InlineData(WeightFormat.BF16)]
    public void Rows_that_end_within_a_block_must_not_be_read_beyond(WeightFormat format)
    {
        // What follows the matrix in memory, and the last row's end within the next one, are NaNs that must not be met.
        const int Ragged = 45;
        float[] values = [.. Values.Normal(Outputs * Ragged, seed: 1), .. Enumerable.Repeat(float.NaN, 64)];
        using var all = new WeightMemory(format, 1, values.Length, values);
        var data = new TensorData(format, Outputs, Ragged, all.Data.Address);
        float[] x = Values.Normal(9 * Ragged, seed: 2);
        float[][] results = [.. new[] { Repack.On, Repack.Off }.Select(repack =>
        {
            using var device = new CpuDevice(1, repack);
            using WeightMatrix weights = device.LoadMatrix(data);
            using DeviceTensor input = device.Tensor(9, Ragged, x), output = device.Allocate(9, Outputs);
            device.Linear(weights, input, 9, output);
            return output.Read(9);
        })];
        Assert.All(results[0], value => Assert.True(float.IsFinite(value)));
        Assert.Equal(results[0].Bits(), results[1].Bits());
    }

    [Theory]
    [InlineData(WeightFormat.F32)]
    [InlineData(WeightFormat.F16)]
    [InlineData(WeightFormat.BF16)]
    public void Weights_that_are_not_finite_must_reach_their_outputs_and_no_others(WeightFormat format)
    {
        float[] values = [.. Values.Normal(Outputs * Columns, seed: 1).Select(Math.Abs)];
        (values[(3 * Columns) + 7], values[(20 * Columns) + 500]) = (float.NaN, float.PositiveInfinity);
        using var memory = new WeightMemory(format, Outputs, Columns, values);
        foreach (int rows in new[] { 1, 5, 40 })
        {
            foreach (Repack repack in new[] { Repack.On, Repack.Off })
            {
                using var device = new CpuDevice(2, repack);
                using WeightMatrix weights = device.LoadMatrix(memory.Data);
                using DeviceTensor input = device.Tensor(rows, Columns, [.. Enumerable.Repeat(1f, rows * Columns)]);
                using DeviceTensor output = device.Allocate(rows, Outputs);
                device.Linear(weights, input, rows, output);
                foreach (float[] row in output.Read(rows).Chunk(Outputs))
                {
                    Assert.True(float.IsNaN(row[3]));
                    Assert.True(float.IsPositiveInfinity(row[20]));
                    Assert.Equal(Outputs - 2, row.Count(float.IsFinite));
                }
            }
        }
    }

    [Theory]
    [InlineData(WeightFormat.Q4_K, WeightFormat.Q4_K, WeightFormat.Q4_K)]
    [InlineData(WeightFormat.Q4_K, WeightFormat.Q6_K, WeightFormat.Q4_K)]
    [InlineData(WeightFormat.Q8_0, WeightFormat.BF16, WeightFormat.F32)]
    public void Products_taken_together_must_be_those_taken_alone(params WeightFormat[] formats)
    {
        using var device = new CpuDevice(2);
        WeightMemory[] memories = [.. formats.Select((format, i) =>
            new WeightMemory(format, Outputs - (16 * i), Columns, Values.Normal((Outputs - (16 * i)) * Columns, seed: i)))];
        WeightMatrix[] weights = [.. memories.Select(memory => device.LoadMatrix(memory.Data, WeightUse.Product))];
        foreach (int rows in RowCounts)
        {
            using DeviceTensor input = device.Tensor(rows, Columns, Values.Normal(rows * Columns, seed: rows));
            DeviceTensor[] together = [.. weights.Select(matrix => device.Allocate(rows, matrix.Rows))];
            device.Linear([.. weights.Zip(together, (matrix, output) => new LinearTarget(matrix, output))], input, rows);
            for (int i = 0; i < weights.Length; i++)
            {
                using DeviceTensor alone = device.Allocate(rows, weights[i].Rows);
                device.Linear(weights[i], input, rows, alone);
                Assert.Equal(alone.Read(rows).Bits(), together[i].Read(rows).Bits());
                together[i].Dispose();
            }
        }

        foreach (IDisposable resource in weights.Concat<IDisposable>(memories))
            resource.Dispose();
    }

    private static uint[] Multiply(WeightMemory memory, SimdPath path, Repack repack, float[] x, int rows)
    {
        using var device = new CpuDevice(2, path, repack);
        using WeightMatrix weights = device.LoadMatrix(memory.Data, WeightUse.Product);
        using DeviceTensor input = device.Tensor(rows, Columns, x), output = device.Allocate(rows, Outputs);
        device.Linear(weights, input, rows, output);
        return output.Read(rows).Bits();
    }
}
