using System.Globalization;
using ILGPU;
using ILGPU.Runtime;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>The memory of one accelerator: what the driver grants, and what slices have taken of it.</summary>
internal sealed class DeviceMemory(Accelerator accelerator, DeviceKind kind, string device, long grantedBytes)
{
    private long _used;

    /// <summary>Bytes that slices may use.</summary>
    public long GrantedBytes => grantedBytes;

    /// <summary>Bytes in use.</summary>
    public long UsedBytes => Interlocked.Read(ref _used);

    /// <summary>Allocates bytes; what they hold is undefined.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="purpose">What for, as errors say it.</param>
    /// <exception cref="DeviceMemoryException">There are not so many left.</exception>
    public MemoryBuffer1D<byte, Stride1D.Dense> Allocate(long bytes, string purpose)
    {
        if (Interlocked.Add(ref _used, GpuMemoryNeeds.Allocation(kind, bytes)) > grantedBytes)
        {
            Release(bytes);
            throw new DeviceMemoryException(Describe(bytes, purpose));
        }

        try
        {
            return accelerator.Allocate1D<byte>(bytes);
        }
        catch (Exception error) when (error is AcceleratorException or OutOfMemoryException)
        {
            Release(bytes);
            throw new DeviceMemoryException(Describe(bytes, purpose) + "; the driver refused: " + error.Message, error);
        }
    }

    /// <summary>Says that so many bytes were freed.</summary>
    public void Release(long bytes) => Interlocked.Add(ref _used, -GpuMemoryNeeds.Allocation(kind, bytes));

    private string Describe(long bytes, string purpose) => string.Create(CultureInfo.InvariantCulture,
        $"{device} has no {Mebibytes(bytes)} for {purpose}: {Mebibytes(UsedBytes)} of the {Mebibytes(grantedBytes)} that it grants are in use. Give it fewer layers, a smaller KV cache (--kv-tokens, --kv-type q8_0) or a more compact weight format");

    private static string Mebibytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0.0} MiB");
}
