using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>The PTX that makes activations ready, run on the host: norms, gates, roundings, and where elements go.</summary>
public class EmulatedRowTests
{
    private const int Rows = 11, Columns = 2304;

    // What rounding to bfloat16 and to half precision may change, and a few roundings of float32.
    private const double Bf16Step = 1.01 / (1 << 8), HalfStep = 1.01 / (1 << 11);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Plain_rows_must_be_rounded_once(bool bf16)
    {
        float[] x = Values.Normal(Rows * Columns, seed: 1);
        var device = new EmulatedKernels();
        float[] actual = device.Read(device.Prepare(bf16 ? CudaKernels.PlainBf16 : CudaKernels.PlainHalf, x, [0], Columns), bf16);
        Check([.. x.Select(value => (double)value)], actual, bf16);
    }

    [Theory]
    [InlineData(1e-30f)]
    [InlineData(3e38f)]
    public void Rows_of_any_magnitude_must_fit_half_precision(float magnitude)
    {
        float[] x = [.. Values.Uniform(Rows * Columns, seed: 2).Select(value => value * magnitude)];
        var device = new EmulatedKernels();
        float[] actual = device.Read(device.Prepare(CudaKernels.PlainHalf, x, [0], Columns), bf16: false);
        for (int i = 0; i < x.Length; i++)
            Assert.InRange(actual[i], x[i] - (HalfStep * magnitude), x[i] + (HalfStep * magnitude));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Normed_rows_must_be_those_of_rms_norm(bool bf16)
    {
        const float Epsilon = 1e-5f;
        float[] x = Values.Normal(Rows * Columns, seed: 3, deviation: 20), gain = Values.Uniform(Columns, seed: 4);
        var expected = new double[x.Length];
        double[] scales = [.. x.Chunk(Columns).Select(row => 1 / Math.Sqrt((row.Sum(value => (double)value * value) / Columns) + Epsilon))];
        for (int i = 0; i < x.Length; i++)
            expected[i] = x[i] * scales[i / Columns] * gain[i % Columns];

        var device = new EmulatedKernels();
        Check(expected, device.Read(device.Prepare(bf16 ? CudaKernels.NormedBf16 : CudaKernels.NormedHalf, x, gain, Columns, Epsilon), bf16), bf16);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gated_rows_must_be_those_of_swiglu(bool bf16)
    {
        float[] gate = Values.Normal(Rows * Columns, seed: 5, deviation: 4), up = Values.Normal(Rows * Columns, seed: 6);
        double[] expected = [.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)];
        var device = new EmulatedKernels();
        Check(expected, device.Read(device.Prepare(bf16 ? CudaKernels.GatedBf16 : CudaKernels.GatedHalf, gate, up, Columns), bf16), bf16);
    }

    // In half precision, elements more than 2^28 below the row's largest turn subnormal.
    private static void Check(double[] expected, float[] actual, bool bf16)
    {
        double[] largest = [.. expected.Chunk(Columns).Select(row => row.Max(Math.Abs))];
        for (int i = 0; i < expected.Length; i++)
        {
            double tolerance = (Math.Abs(expected[i]) * (bf16 ? Bf16Step : HalfStep)) + (largest[i / Columns] * 1e-8);
            Assert.InRange(actual[i], expected[i] - tolerance, expected[i] + tolerance);
        }
    }
}
