using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>Bytes that things take on GPUs of every kind, without one.</summary>
public class GpuMemoryNeedsTests
{
    private const long Page = 2 << 20;

    [Theory]
    [InlineData(DeviceKind.OpenCl, 0, 256)]
    [InlineData(DeviceKind.OpenCl, 257, 512)]
    [InlineData(DeviceKind.OpenCl, (3 << 20) + 1, (3 << 20) + 256)]
    [InlineData(DeviceKind.Cuda, 257, 512)]
    [InlineData(DeviceKind.Cuda, (1 << 20) + 1, Page)]
    [InlineData(DeviceKind.CudaTensorCores, Page + 1, 2 * Page)]
    public void Memory_must_be_counted_in_the_pieces_that_drivers_deal_out(DeviceKind kind, long bytes, long counted) =>
        Assert.Equal(counted, GpuMemoryNeeds.Allocation(kind, bytes));

    [Theory]
    [InlineData(WeightFormat.BF16)]
    [InlineData(WeightFormat.Q8_0)]
    [InlineData(WeightFormat.Q4_0)]
    [InlineData(WeightFormat.Q4_K)]
    [InlineData(WeightFormat.Q5_K)]
    [InlineData(WeightFormat.Q6_K)]
    public void A_matrix_must_take_about_what_it_takes_in_the_file_and_twice_that_if_it_is_also_looked_up(WeightFormat format)
    {
        const int Rows = 4096, Columns = 4096;
        long file = Rows * format.RowBytes(Columns);
        foreach (DeviceKind kind in new[] { DeviceKind.OpenCl, DeviceKind.Cuda, DeviceKind.CudaTensorCores })
        {
            long product = GpuMemoryNeeds.Matrix(kind, format, Rows, Columns, WeightUse.Product);
            long both = GpuMemoryNeeds.Matrix(kind, format, Rows, Columns, WeightUse.LookupAndProduct);
            Assert.InRange(product, file, (file * 1.03) + (2 * Page));
            Assert.InRange(both, kind == DeviceKind.CudaTensorCores ? 2 * file : file, (kind == DeviceKind.CudaTensorCores ? 2.03 * file : file) + (4 * Page));
        }
    }

    [Fact]
    public void Inputs_of_products_must_count_where_tensor_cores_want_them_in_16_bits()
    {
        (int, int)[] tensors = [(256, 14336), (64, 128_256), (2, 64)];
        long plain = GpuMemoryNeeds.Device(DeviceKind.Cuda, tensors), more = GpuMemoryNeeds.Device(DeviceKind.CudaTensorCores, tensors);

        // The widest input; logits are none. And the states of one more attention.
        Assert.InRange(more - plain, (32 << 20) + (256 * 14336 * 2), (32 << 20) + (256 * 14336 * 2) + Page + 4096);
    }
}
