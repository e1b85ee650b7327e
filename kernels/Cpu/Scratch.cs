using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>Memory that an operation uses while it runs. It grows to the largest operation seen and is then reused.</summary>
internal sealed unsafe class Scratch : IDisposable
{
    private const int Alignment = 64;

    private byte* _data;
    private nuint _bytes;

    ~Scratch() => Free();

    /// <summary>At least so many bytes, aligned to 64, contents undefined. What was returned before is no longer valid.</summary>
    public byte* Take(long bytes)
    {
        var wanted = (nuint)RoundUp(bytes);
        if (wanted > _bytes)
        {
            Free();
            _data = (byte*)NativeMemory.AlignedAlloc(wanted, Alignment);
            _bytes = wanted;
        }

        return _data;
    }

    /// <summary>The next multiple of the alignment.</summary>
    public static long RoundUp(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
        _bytes = 0;
    }
}
