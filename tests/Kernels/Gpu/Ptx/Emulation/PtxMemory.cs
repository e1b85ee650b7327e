using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>The emulated device's memory: buffers far apart, so that an address outside of all of them is noticed.</summary>
internal sealed class PtxMemory
{
    private const ulong Distance = 1UL << 36;
    private readonly List<byte[]> _buffers = [];

    /// <summary>Allocates a buffer, filled with a pattern that is a NaN in every float format; returns its address.</summary>
    public ulong Allocate(long bytes)
    {
        var buffer = new byte[bytes];
        Array.Fill(buffer, (byte)0xFF);
        _buffers.Add(buffer);
        return Distance * (ulong)_buffers.Count;
    }

    /// <summary>Allocates a buffer that holds a copy of these elements.</summary>
    public ulong Copy<T>(ReadOnlySpan<T> elements)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(elements);
        ulong address = Allocate(bytes.Length);
        bytes.CopyTo(_buffers[^1]);
        return address;
    }

    /// <summary>The elements from an address on.</summary>
    public T[] Read<T>(ulong address, int count)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(At(address, count * Marshal.SizeOf<T>())).ToArray();

    /// <summary>The bytes at an address: all inside one buffer, and aligned to their number where that is a power of two up to 16.</summary>
    public Span<byte> At(ulong address, int bytes)
    {
        int number = (int)(address / Distance) - 1;
        ulong offset = address % Distance;
        if ((uint)number >= (uint)_buffers.Count || offset + (ulong)bytes > (ulong)_buffers[number].Length)
            throw new InvalidOperationException($"{bytes} bytes at {address:X} are outside of every buffer");
        if (bytes is 2 or 4 or 8 or 16 && offset % (ulong)bytes != 0)
            throw new InvalidOperationException($"{bytes} bytes at {address:X} are misaligned");
        return _buffers[number].AsSpan((int)offset, bytes);
    }
}
