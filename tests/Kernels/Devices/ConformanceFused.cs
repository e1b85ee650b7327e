using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>Operations in one that devices may do in one pass, on every device against the reference.</summary>
public class ConformanceFused
{
    private const float Epsilon = 1e-5f;

    public static TheoryData<string, WeightFormat> Formats => new EveryDeviceWith<WeightFormat>();

    [Theory]
    [MemberData(nameof(Formats))]
    public void Products_of_a_normed_input_must_match_the_reference(string name, WeightFormat format) => Check(name, format, (device, layer, rows) =>
    {
        using DeviceTensor input = device.Tensor(rows, Layer.Columns, Values.Normal(rows * Layer.Columns, seed: 1, deviation: 3));
        using DeviceTensor gain = device.LoadVector(layer.Gain.Data), normed = device.Allocate(rows, Layer.Columns);
        using WeightMatrix first = device.LoadMatrix(layer.Up.Data, WeightUse.Product), second = device.LoadMatrix(layer.Narrow.Data, WeightUse.Product);
        using DeviceTensor a = device.Allocate(rows, Layer.Columns), b = device.Allocate(rows, Layer.Few);
        device.NormedLinear(input, gain, Epsilon, [new LinearTarget(first, a), new LinearTarget(second, b)], rows, normed);
        return [.. a.Read(rows), .. b.Read(rows)];
    });

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_product_added_to_the_residual_must_match_the_reference(string name, WeightFormat format) => Check(name, format, (device, layer, rows) =>
    {
        using DeviceTensor input = device.Tensor(rows, Layer.Columns, Values.Normal(rows * Layer.Columns, seed: 2));
        using DeviceTensor residual = device.Tensor(rows, Layer.Few, Values.Normal(rows * Layer.Few, seed: 3));
        using DeviceTensor product = device.Allocate(rows, Layer.Few);
        using WeightMatrix weights = device.LoadMatrix(layer.Narrow.Data, WeightUse.Product);
        device.LinearAdd(weights, input, rows, residual, product);
        return residual.Read(rows);
    });

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_gated_product_added_to_the_residual_must_match_the_reference(string name, WeightFormat format) => Check(name, format, (device, layer, rows) =>
    {
        using DeviceTensor gate = device.Tensor(rows, Layer.Columns, Values.Normal(rows * Layer.Columns, seed: 4, deviation: 2));
        using DeviceTensor up = device.Tensor(rows, Layer.Columns, Values.Normal(rows * Layer.Columns, seed: 5));
        using DeviceTensor residual = device.Tensor(rows, Layer.Few, Values.Normal(rows * Layer.Few, seed: 6)), product = device.Allocate(rows, Layer.Few);
        using WeightMatrix weights = device.LoadMatrix(layer.Narrow.Data, WeightUse.Product);
        device.GatedLinearAdd(weights, gate, up, rows, residual, product);
        return residual.Read(rows);
    });

    private static void Check(string name, WeightFormat format, Func<ComputeDevice, Layer, int, float[]> compute)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using var reference = new ReferenceDevice();
        using var layer = new Layer(format);
        foreach (int rows in new[] { 1, 7, 16, 21 })
        {
            float[] expected = compute(reference, layer, rows), actual = compute(device, layer, rows);
            double error = 0, square = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                error += Math.Pow(actual[i] - (double)expected[i], 2);
                square += Math.Pow(expected[i], 2);
            }

            Assert.InRange(Math.Sqrt(error / square), 0, Accuracy.OfProducts(name, format, Layer.Columns));
        }
    }

    private sealed class Layer(WeightFormat format) : IDisposable
    {
        public const int Columns = 512;

        // No whole number of any kernel's tiles.
        public const int Few = 77;

        public WeightMemory Gain { get; } = new(WeightFormat.F32, 1, Columns, Values.Normal(Columns, seed: 7));

        public WeightMemory Up { get; } = new(format, Columns, Columns, Values.Normal(Columns * Columns, seed: 8));

        public WeightMemory Narrow { get; } = new(format, Few, Columns, Values.Normal(Few * Columns, seed: 9));

        public void Dispose()
        {
            Gain.Dispose();
            Up.Dispose();
            Narrow.Dispose();
        }
    }
}
