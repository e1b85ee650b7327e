using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>
/// How far results may be from the reference's, by what a device's kernels round. Tensor cores take both operands in 16 bits: there the
/// roundings of activations, and of weights once their scale is applied, are all that counts.
/// </summary>
internal static class Accuracy
{
    /// <summary>Whether a device multiplies by such a matrix on tensor cores.</summary>
    public static bool IsRounded(string device, WeightFormat format, int columns) => HasTensorCores(device) && CudaLinear.Takes(format, columns);

    /// <summary>Whether a device attends over such a cache on tensor cores.</summary>
    public static bool IsRounded(string device, KvFormat format, int headDim) => HasTensorCores(device) && CudaKernels.HasAttention(format, headDim);

    /// <summary>The largest error of a sum of products whose operands were rounded to 16 bits.</summary>
    /// <param name="format">The weights'.</param>
    /// <param name="squares">The sum of the products' squares.</param>
    /// <param name="magnitude">The sum of the products' magnitudes.</param>
    public static double OfRoundedProduct(WeightFormat format, double squares, double magnitude)
    {
        // Activations have 8 bits (bfloat16) or 11; so have weights once their scale is applied: scale and product round. Roundings are
        // independent: their sum stays within a few of their root mean square; sums in float32 add little.
        double step = format == WeightFormat.BF16 ? 1.0 / (1 << 9) : 1.0 / (1 << 12);
        int roundings = format is WeightFormat.F16 or WeightFormat.BF16 ? 1 : 4;
        return (6 * step * roundings * Math.Sqrt(squares)) + (1e-6 * magnitude);
    }

    /// <summary>The largest error of attention over values up to 1 whose queries and weights were rounded to the cache's 16 bits: a few roundings.</summary>
    public static double OfRoundedAttention(KvFormat format) => format == KvFormat.BF16 ? 0.03 : 0.004;

    /// <summary>The error of many products' results, as a share of their root mean square.</summary>
    public static double OfProducts(string device, WeightFormat format, int columns) => (IsRounded(device, format, columns), format) switch
    {
        (true, WeightFormat.BF16) => 5e-3,
        (true, _) => 1e-3,
        (_, WeightFormat.F32 or WeightFormat.F16 or WeightFormat.BF16) => 1e-6,
        (_, WeightFormat.Q8_0) when IsProcessor(device) => 1e-4, // activations of 16 bits
        _ when IsProcessor(device) => 1e-2, // activations of 8 bits
        _ => 1e-6,
    };

    private static bool IsProcessor(string device) => device.StartsWith("cpu", StringComparison.Ordinal);

    private static bool HasTensorCores(string device) =>
        GpuUnderTest.Contexts.FirstOrDefault(context => context.Info.Id == device)?.HasTensorCores == true;
}
