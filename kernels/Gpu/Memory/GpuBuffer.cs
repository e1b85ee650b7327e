using ILGPU;
using ILGPU.Runtime;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>Bytes in device memory, counted against what the device grants.</summary>
internal sealed class GpuBuffer : IDisposable
{
    // A multiple of every unit that kernels load.
    private const int Alignment = 256;

    private readonly DeviceMemory _memory;
    private MemoryBuffer1D<byte, Stride1D.Dense>? _buffer;

    /// <summary>Allocates zeroed bytes.</summary>
    /// <param name="queue">The queue that clears them.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="purpose">What for, as errors say it.</param>
    public GpuBuffer(GpuQueue queue, long bytes, string purpose)
    {
        _memory = queue.Context.Memory;
        Bytes = Aligned(bytes);
        _buffer = _memory.Allocate(Bytes, purpose);
        _buffer.MemSetToZero(queue.Stream);
    }

    /// <summary>The size of a buffer for so many bytes.</summary>
    public static long Aligned(long bytes) => checked((Math.Max(bytes, 1) + Alignment - 1) / Alignment * Alignment);

    /// <summary>Its size, a multiple of 256.</summary>
    public long Bytes { get; }

    /// <summary>ILGPU's buffer.</summary>
    public MemoryBuffer1D<byte, Stride1D.Dense> Memory => _buffer ?? throw new ObjectDisposedException(nameof(GpuBuffer));

    /// <summary>Its address on the device, for kernels of one driver that reckon with addresses.</summary>
    public ulong Address => (ulong)Memory.NativePtr;

    /// <summary>All of it as elements of a type.</summary>
    public ArrayView<T> View<T>()
        where T : unmanaged => ((ArrayView<byte>)Memory.View).Cast<T>();

    /// <summary>A part of it as elements of a type; the offset is a multiple of the element's size.</summary>
    public ArrayView<T> View<T>(long byteOffset, long elements)
        where T : unmanaged => View<T>().SubView(byteOffset / Bits.SizeOf<T>(), elements);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_buffer is null)
            return;
        _buffer.Dispose();
        _buffer = null;
        _memory.Release(Bytes);
    }
}
