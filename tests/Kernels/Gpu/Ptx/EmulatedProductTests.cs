using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Cuda.Products;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>The products' PTX, run on the host: layouts of weights, activations and registers, pipelines, and the order of sums.</summary>
public class EmulatedProductTests
{
    private const int Outputs = 37;

    public static TheoryData<WeightFormat> Formats => new(Enum.GetValues<WeightFormat>().Where(format => format != WeightFormat.F32));

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_product_must_match_the_reference(WeightFormat format)
    {
        foreach ((int columns, int rows) in new[] { (256, 1), (768, 6), (2560, 8), (768, 13), (2560, 16), (768, 33) })
        {
            using var memory = new WeightMemory(format, Outputs, columns, Values.Normal(Outputs * columns, seed: columns));
            float[] x = Values.Normal(rows * columns, seed: rows);
            var device = new EmulatedKernels();
            EmulatedKernels.Activations activations = device.Prepare(Plain(format), x, [0], columns);
            float[] actual = device.Multiply(CudaKernels.Product(format, rows), activations, null, memory.Data)[0];
            Check(memory, x, actual, rows, columns);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_row_must_have_the_same_bits_from_every_kernel(WeightFormat format)
    {
        const int Columns = 2560, Rows = 131;
        using var memory = new WeightMemory(format, Outputs, Columns, Values.Normal(Outputs * Columns, seed: 1));
        float[] x = Values.Normal(Rows * Columns, seed: 2);
        float[] many = Multiply(format, memory, x, Columns);
        foreach ((int first, int count) in new[] { (0, 1), (130, 1), (60, 8), (3, 11) })
        {
            float[] few = Multiply(format, memory, x[(first * Columns)..((first + count) * Columns)], Columns);
            Assert.Equal(many[(first * Outputs)..((first + count) * Outputs)].Bits(), few.Bits());
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(20)]
    public void Matrices_with_the_same_input_must_each_get_their_product(int rows)
    {
        const int Columns = 512;
        const WeightFormat Format = WeightFormat.Q4_K;
        int[] outputs = [150, 16, 33];
        WeightMemory[] memories = [.. outputs.Select(count => new WeightMemory(Format, count, Columns, Values.Normal(count * Columns, seed: count)))];
        float[] x = Values.Normal(rows * Columns, seed: 5);
        var device = new EmulatedKernels();
        EmulatedKernels.Activations activations = device.Prepare(CudaKernels.PlainHalf, x, [0], Columns);
        float[][] results = device.Multiply(CudaKernels.Product(Format, rows), activations, null, [.. memories.Select(memory => memory.Data)]);
        for (int i = 0; i < outputs.Length; i++)
        {
            Check(memories[i], x, results[i], rows, Columns);
            memories[i].Dispose();
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(18)]
    public void A_product_must_be_added_to_the_residual(int rows)
    {
        const int Columns = 256;
        const WeightFormat Format = WeightFormat.Q8_0;
        using var memory = new WeightMemory(Format, Outputs, Columns, Values.Normal(Outputs * Columns, seed: 3));
        float[] x = Values.Normal(rows * Columns, seed: 4), residual = Values.Normal(rows * Outputs, seed: 5);
        var device = new EmulatedKernels();
        EmulatedKernels.Activations activations = device.Prepare(CudaKernels.PlainHalf, x, [0], Columns);
        KernelEntry<ProductParameters> kernel = CudaKernels.Product(Format, rows);
        float[] alone = device.Multiply(kernel, activations, null, memory.Data)[0];
        float[] added = device.Multiply(kernel, activations, residual, memory.Data)[0];
        Assert.Equal(residual.Zip(alone, (r, y) => r + y).ToArray().Bits(), added.Bits());
    }

    [Fact]
    public void What_is_not_finite_must_stay_in_its_row()
    {
        const int Columns = 256, Rows = 5;
        using var memory = new WeightMemory(WeightFormat.Q4_0, Outputs, Columns, Values.Normal(Outputs * Columns, seed: 7));
        float[] x = Values.Normal(Rows * Columns, seed: 8);
        float[] expected = Multiply(WeightFormat.Q4_0, memory, x, Columns);
        (x[Columns + 3], x[(3 * Columns) + 255]) = (float.NaN, float.PositiveInfinity);
        x.AsSpan(4 * Columns).Clear();
        float[] actual = Multiply(WeightFormat.Q4_0, memory, x, Columns);
        foreach (int finite in new[] { 0, 2 })
            Assert.Equal(expected[(finite * Outputs)..((finite + 1) * Outputs)].Bits(), actual[(finite * Outputs)..((finite + 1) * Outputs)].Bits());
        Assert.All(actual[Outputs..(2 * Outputs)], value => Assert.True(float.IsNaN(value)));
        Assert.All(actual[(3 * Outputs)..(4 * Outputs)], value => Assert.False(float.IsFinite(value)));
        Assert.All(actual[(4 * Outputs)..], value => Assert.Equal(0, value));
    }

    private static KernelEntry<Kernels.Gpu.Cuda.Rows.RowParameters> Plain(WeightFormat format) =>
        format == WeightFormat.BF16 ? CudaKernels.PlainBf16 : CudaKernels.PlainHalf;

    private static float[] Multiply(WeightFormat format, WeightMemory memory, float[] x, int columns)
    {
        var device = new EmulatedKernels();
        EmulatedKernels.Activations activations = device.Prepare(Plain(format), x, [0], columns);
        return device.Multiply(CudaKernels.Product(format, activations.Rows), activations, null, memory.Data)[0];
    }

    private static void Check(WeightMemory memory, float[] x, float[] actual, int rows, int columns)
    {
        int outputs = memory.Data.Rows;
        float[] w = memory.Decoded();
        for (int r = 0; r < rows; r++)
        {
            for (int o = 0; o < outputs; o++)
            {
                double expected = 0, magnitude = 0, squares = 0;
                for (int i = 0; i < columns; i++)
                {
                    double product = (double)w[(o * columns) + i] * x[(r * columns) + i];
                    expected += product;
                    magnitude += Math.Abs(product);
                    squares += product * product;
                }

                double tolerance = Accuracy.OfRoundedProduct(memory.Data.Format, squares, magnitude);
                Assert.InRange(actual[(r * outputs) + o], expected - tolerance, expected + tolerance);
            }
        }
    }
}
