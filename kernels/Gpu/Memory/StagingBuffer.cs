using System.Runtime.CompilerServices;
using ILGPU.Runtime;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>
/// Page-locked host memory through which everything goes to and from the device: the driver copies from it without the host waiting.
/// It is handed out from the front; when it is used up, or somebody waits for the stream anyway, it starts again.
/// </summary>
internal sealed unsafe class StagingBuffer : IDisposable
{
    /// <summary>Its size. Larger copies go in pieces.</summary>
    public const int Bytes = 16 << 20;

    private const int Alignment = 64;

    private readonly PageLockedArray1D<byte> _memory;
    private readonly byte* _data;
    private int _used;

    /// <summary>Allocates it.</summary>
    public StagingBuffer(Accelerator accelerator)
    {
        _memory = accelerator.AllocatePageLocked1D<byte>(Bytes);
        _data = (byte*)Unsafe.AsPointer(ref _memory.Span[0]); // ILGPU has pinned it for as long as it lives.
    }

    /// <summary>Bytes that can be taken before the stream has to be waited for.</summary>
    public int Free => Bytes - _used;

    /// <summary>Takes bytes that stay as they are until <see cref="Reset"/>.</summary>
    public Span<byte> Take(int bytes)
    {
        var span = new Span<byte>(_data + _used, bytes);
        _used = Math.Min(Bytes, (_used + bytes + Alignment - 1) / Alignment * Alignment);
        return span;
    }

    /// <summary>Makes all of it free: the stream has come past every copy.</summary>
    public void Reset() => _used = 0;

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
