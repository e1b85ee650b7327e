using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using Llama3Cluster.Kernels.Gpu.Interop;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu;

/// <summary>What one slice has a device do, in order: launches and copies on a stream of its own. Nothing here allocates in steady state.</summary>
internal sealed unsafe class GpuQueue : IDisposable
{
    private readonly StagingBuffer _staging;
    private nint _staged;

    /// <summary>Opens a stream.</summary>
    public GpuQueue(GpuContext context)
    {
        Context = context;
        Stream = context.Accelerator.CreateStream();
        _staging = new StagingBuffer(context.Accelerator);
    }

    /// <summary>The device.</summary>
    public GpuContext Context { get; }

    /// <summary>The stream.</summary>
    public AcceleratorStream Stream { get; }

    /// <summary>
    /// How often a buffer that launches share has been replaced by a larger one: launches that were recorded before still name the old one.
    /// </summary>
    public int ReplacedBuffers { get; private set; }

    /// <summary>Says that a buffer that launches share has been replaced.</summary>
    public void CountReplacedBuffer() => ReplacedBuffers++;

    /// <summary>Enqueues a kernel; nothing if a dimension of the grid is 0.</summary>
    public void Launch<TArgs>(KernelEntry<TArgs> entry, Index3D groups, in TArgs args)
        where TArgs : struct => Context.Launcher(entry).Launch(Stream, groups, args);

    /// <summary>Enqueues a copy to the device. The source may change at once.</summary>
    public void Upload<T>(ReadOnlySpan<T> source, GpuBuffer target, long byteOffset)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(source);
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, Room());
            bytes[..count].CopyTo(Stage(count, target, byteOffset));
            Commit(count, target, byteOffset);
            bytes = bytes[count..];
            byteOffset += count;
        }
    }

    /// <summary>Host memory to fill with what <see cref="Commit"/> then sends; at most <see cref="StagingBuffer.Bytes"/>.</summary>
    public Span<byte> Stage(int bytes, GpuBuffer target, long byteOffset)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset + bytes, target.Bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, StagingBuffer.Bytes);
        if (bytes > _staging.Free)
            Synchronize();
        Span<byte> span = _staging.Take(bytes);
        _staged = AddressOf(span);
        return span;
    }

    /// <summary>Sends what was staged last.</summary>
    public void Commit(int bytes, GpuBuffer target, long byteOffset) =>
        Transfers.ToDevice(Stream, _staged, target.Memory, byteOffset, bytes);

    /// <summary>Copies to the host; waits for everything enqueued before.</summary>
    public void Download<T>(GpuBuffer source, long byteOffset, Span<T> destination)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(destination);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset + bytes.Length, source.Bytes);
        while (!bytes.IsEmpty)
        {
            Span<byte> staged = _staging.Take(Math.Min(bytes.Length, Room()));
            Transfers.ToHost(Stream, source.Memory, byteOffset, AddressOf(staged), staged.Length);
            Synchronize();
            staged.CopyTo(bytes);
            bytes = bytes[staged.Length..];
            byteOffset += staged.Length;
        }
    }

    /// <summary>Waits until everything enqueued has finished.</summary>
    public void Synchronize()
    {
        Stream.Synchronize();
        _staging.Reset();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stream.Synchronize();
        _staging.Dispose();
        Stream.Dispose();
    }

    // Staged bytes are page-locked: they stay where they are.
    private static nint AddressOf(Span<byte> staged) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(staged));

    private int Room()
    {
        if (_staging.Free == 0)
            Synchronize();
        return _staging.Free;
    }
}
